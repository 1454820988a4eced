export { type Bundle, bundlePath, digestFile, MANIFEST_FILE, openBundle } from './bundle.ts';
export { kvBytesPerPosition, type Manifest, manifestSchema, variesByDepth } from './manifest.ts';
