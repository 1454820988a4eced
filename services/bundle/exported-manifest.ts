import { RondoError } from '@rondo/core';
import { z } from 'zod';
import { manifestSchema } from './manifest.ts';

export const EXPORTED_MANIFEST_FILE = 'rondo.json';

/** `rondo.json` of an exported bundle: what of its manifest a Hugging Face directory cannot say. */
const exportedManifestSchema = manifestSchema
  .pick({
    name: true,
    source: true,
    examples: true,
    layers: true,
    maxDepth: true,
    loop: true,
    tied: true,
    exit: true,
    kvPolicy: true,
    precision: true,
    adapters: true,
    pagePositions: true,
  })
  .extend({ version: z.literal(1) });

export type ExportedManifest = z.infer<typeof exportedManifestSchema>;

/** Drops what is not exported. */
export const exportedManifest = (manifest: object): ExportedManifest =>
  exportedManifestSchema.strip().parse({ ...manifest, version: 1 });

/** @throws RondoError CHECKPOINT_INVALID naming the key. */
export function parseExportedManifest(path: string, text: string): ExportedManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new RondoError('CHECKPOINT_INVALID', `${path}: not JSON`, { cause });
  }
  const parsed = exportedManifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new RondoError('CHECKPOINT_INVALID', `${path}: ${issue?.path.join('.')}: ${issue?.message}`);
}
