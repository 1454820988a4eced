export {
  type Bundle,
  type BundlePart,
  bundlePath,
  digestFile,
  MANIFEST_FILE,
  openBundle,
  parseManifest,
} from './bundle.ts';
export { diskReason, diskRefusal } from './disk-refusal.ts';
export {
  EXPORTED_MANIFEST_FILE,
  type ExportedManifest,
  exportedManifest,
  parseExportedManifest,
} from './exported-manifest.ts';
export { fetchBundle } from './fetch-bundle.ts';
export {
  bundleBytes,
  type FactorsPlace,
  kvBytesPerPosition,
  kvBytesPerToken,
  kvNumberBytes,
  type LayerPlace,
  layersPerToken,
  type Manifest,
  type MatrixPlace,
  manifestSchema,
  pagedKvBytesPerToken,
  STACKS,
  type Stack,
  variesByDepth,
} from './manifest.ts';
export { presignedUrls } from './presigned-urls.ts';
