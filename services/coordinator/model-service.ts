import type { Logger } from '@rondo/chassis';
import type { Admission } from './admission.ts';
import type { Generation } from './generation.ts';
import type { ModelFacts } from './generation-fields.ts';
import type { TextCodec } from './text.ts';

/** What answers requests to one model: what they are checked against, its text, who is let in, and who generates. */
export interface ModelService {
  readonly model: ModelFacts;
  readonly codec: TextCodec | undefined;
  readonly admission: Admission;
  readonly generation: Generation;
  readonly log: Logger;
}
