import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** In a build: ONNX Runtime's package holds the binaries of every platform; an image needs those of its own. */
const BINARIES = 'node_modules/onnxruntime-node/bin/napi-v6';

for (const [directory, mine] of [
  [BINARIES, process.platform],
  [join(BINARIES, process.platform), process.arch],
] as const) {
  if (!existsSync(directory)) continue;
  for (const name of readdirSync(directory)) {
    if (name !== mine) rmSync(join(directory, name), { recursive: true });
  }
}
