import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

/** The folder of all .proto files; imports are written relative to it. */
const PROTO_ROOT = fileURLToPath(new URL('../../proto/', import.meta.url));

const FILES = ['rondo/v1/worker.proto', 'grpc/health/v1/health.proto'];

/** Parses the wire contract. The .proto files are the truth also at run time: an image must carry `proto/`. */
export function loadContract(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => (target.startsWith(PROTO_ROOT) ? target : PROTO_ROOT + target);
  root.loadSync(FILES, { alternateCommentMode: true, preferTrailingComment: true });
  root.resolveAll();
  return root;
}
