import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { LIMITS, RondoError, THRESHOLD_RANGES } from '@rondo/core';
import { LineCounter, type Node, parseDocument } from 'yaml';
import { z } from 'zod';

const count = z.int().positive();
const rising = (values: readonly number[]) =>
  values.every((value, at) => at === 0 || value > values[at - 1]!);
const thresholds = z.array(z.number().positive()).refine(rising, 'thresholds in rising order');
/** One that no signal can reach would be measured as all passes under another name. */
const thresholdsOf = (policy: keyof typeof THRESHOLD_RANGES) => {
  const [range, highest] = THRESHOLD_RANGES[policy];
  return thresholds
    .refine((values) => values.every((value) => value <= highest), `expected ${range}`)
    .default([]);
};

const schema = z.strictObject({
  name: z.string().min(1),
  /** Raised with every change that makes figures incomparable. */
  version: count,
  /** Of every random choice. */
  seed: z.int().nonnegative().max(0xffff_ffff),
  /** Files, relative to the suite's. */
  texts: z.array(z.string().min(1)).min(1),
  windows: z
    .strictObject({ positions: count.min(2), stride: count, max: count })
    .refine(({ positions, stride }) => stride < positions, 'stride must be below positions'),
  /** Greedy text of A after the beginnings of windows, which B goes along with up to its point of divergence. */
  greedy: z.strictObject({ prompt: count, tokens: count, max: count }),
  /** JSON lines, relative to the suite's file. */
  questions: z.array(z.string().min(1)),
  /** Whether a question follows the model's beginning of text: as its tokenizer does by itself, always or never. */
  questionBos: z.enum(['as-tokenizer', 'always', 'never']),
  /** How rows leave when exits are live, for each policy that the model can do. */
  exits: z.strictObject({
    /** Windows, from the first, that are decoded row by row at every threshold. */
    windows: count,
    gate: thresholdsOf('gate'),
    'latent-diff': thresholdsOf('latent-diff'),
    confidence: thresholdsOf('confidence'),
    /** For each policy besides, the thresholds at which about these shares of the passes that can be saved are. */
    saving: thresholds.refine((shares) => shares.every((share) => share < 1), 'shares below 1').default([]),
  }),
  bootstrap: z.strictObject({ samples: count.min(100), confidence: z.number().gt(0.5).lt(1) }),
});

export type SuiteSettings = z.infer<typeof schema>;

export interface SuiteFile {
  /** As the suite names it. */
  readonly name: string;
  readonly text: string;
}

/** A protocol with all that it reads. */
export interface EvalSuite {
  readonly settings: SuiteSettings;
  readonly texts: readonly SuiteFile[];
  readonly questions: readonly SuiteFile[];
  /** sha256 of the settings and the content of every file: equal digests, equal protocol. */
  readonly digest: string;
}

/** @throws RondoError CONFIG_INVALID naming file, line, key and what was expected. */
export async function openSuite(path: string): Promise<EvalSuite> {
  const settings = parseSuite(path, await readSmall(path));
  const beside = (names: readonly string[]): Promise<SuiteFile[]> =>
    Promise.all(names.map(async (name) => ({ name, text: await readSmall(resolve(dirname(path), name)) })));
  const [texts, questions] = [await beside(settings.texts), await beside(settings.questions)];
  const hash = createHash('sha256').update(JSON.stringify(settings));
  for (const { text } of [...texts, ...questions]) {
    hash.update(createHash('sha256').update(text).digest());
  }
  return { settings, texts, questions, digest: hash.digest('hex') };
}

/** Settings from YAML `text`; `path` is for messages. @throws RondoError CONFIG_INVALID with the line at fault. */
export function parseSuite(path: string, text: string): SuiteSettings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const fault = document.errors[0];
  if (fault)
    throw invalid(path, lines.linePos(fault.pos[0]).line, fault.message.replace(/ at line [\s\S]*/, ''));
  const parsed = schema.safeParse(contentOf(document, path));
  if (parsed.success) return parsed.data;
  // A misspelt key is also a missing one: its own line says more.
  const { issues } = parsed.error;
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!;
  const at = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]!] : issue.path;
  throw invalid(
    path,
    lineOf(document, at, lines),
    [...(at.length > 0 ? [at.join('.')] : []), issue.message].join(': '),
  );

  function lineOf(root: typeof document, key: PropertyKey[], counter: LineCounter): number {
    // What is missing has no line of its own: that of the nearest part that holds it.
    for (let length = key.length; length > 0; length--) {
      const node = root.getIn(key.slice(0, length), true) as Node | undefined;
      if (node?.range) return counter.linePos(node.range[0]).line;
    }
    return 1;
  }
}

/** @throws RondoError CONFIG_INVALID for aliases of aliases that would fill the memory. */
function contentOf(document: ReturnType<typeof parseDocument>, path: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw invalid(path, 1, (cause as Error).message);
  }
}

const invalid = (path: string, line: number, reason: string): RondoError =>
  new RondoError('CONFIG_INVALID', `${path}:${line}: ${reason}`);

async function readSmall(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > LIMITS.evalFileBytes) {
      throw new RondoError('CONFIG_INVALID', `${path}: ${size} bytes, at most ${LIMITS.evalFileBytes}`);
    }
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof RondoError) throw cause;
    throw new RondoError('CONFIG_INVALID', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}
