import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** For `test(name, { skip: IMAGES_MISSING }, …)`: false, or why there are no images of ours to test. */
export const IMAGES_MISSING: string | false = await run(
  'docker',
  ['image', 'inspect', ...['coordinator', 'worker', 'lab', 'worker-gpu'].map((name) => `rondo-${name}:dev`)],
  { timeout: 10_000, maxBuffer: 1e7 },
).then(
  () => false as const,
  () => 'no Docker engine answers with the images that integration-tests/containers/prepare.sh builds',
);
