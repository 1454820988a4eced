import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BATCH_ENDPOINTS, type BatchEndpoint } from '@rondo/coordinator';
import { RondoError } from '@rondo/core';
import { Command, Option } from 'commander';
import type { ApiClient } from './api-client.ts';
import { API_HELP, type ApiFlags, addApiOptions, apiClient } from './api-options.ts';
import { checkBatchFile } from './batch-file.ts';
import { type Batch, followBatch, isOver } from './batch-follow.ts';
import { countOption } from './options.ts';
import { ResultFile } from './result-file.ts';

interface OutFlags {
  readonly out?: string;
  readonly errors?: string;
}

interface SubmitFlags extends ApiFlags, OutFlags {
  readonly endpoint: BatchEndpoint;
  readonly window: string;
  readonly wait: boolean;
}

interface StatusFlags extends ApiFlags {
  readonly wait: boolean;
  readonly json: boolean;
}

/** `rondo batch`: a file of requests, answered whenever the machines have time. */
export const batchCommand = (): Command =>
  new Command('batch')
    .description('answer a file of requests at low priority: submit, follow, fetch, cancel')
    .addCommand(submitCommand())
    .addCommand(statusCommand())
    .addCommand(resultsCommand())
    .addCommand(cancelCommand())
    .addCommand(listCommand())
    .addHelpText(
      'after',
      `
Batches are kept in NATS: the coordinator needs --nats. They go on when this command ends, whoever falls over meanwhile.

From a file of requests to a file of answers:
  echo '{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "looped",
    "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}}' | tr -d '\\n' > lines.jsonl
  rondo batch submit lines.jsonl --out answers.jsonl`,
    );

const addOutOptions = (command: Command): Command =>
  command
    .option('--out <file>', 'where to write the answers')
    .option('--errors <file>', 'where to write what failed (default: beside --out, as <name>.errors.jsonl)');

const waitOption = (): Option => new Option('--wait', 'show how far it is until it is over').default(false);

const submitCommand = (): Command =>
  addOutOptions(addApiOptions(new Command('submit')))
    .description('check a file, upload it and start its batch; prints the id of the batch')
    .argument('<file.jsonl>', 'a request in each line')
    .addOption(
      new Option('--endpoint <path>', 'what the lines ask for')
        .choices([...BATCH_ENDPOINTS])
        .default('/v1/chat/completions'),
    )
    .option('--window <time>', 'when to give up: seconds to days, such as 30m, 24h or 7d', '24h')
    .addOption(waitOption())
    .addHelpText(
      'after',
      `
Each line is a JSON object: custom_id (yours, no two alike), method "POST", url (the --endpoint) and body, which is what
the endpoint takes. The file is checked before anything is sent. With --out the answers are waited for and written there.
A line that fails fails alone: it is in the errors, and the command ends with 0.
${API_HELP}

Examples:
  rondo batch submit lines.jsonl
  rondo batch submit lines.jsonl --out answers.jsonl
  ID=$(rondo batch submit lines.jsonl --endpoint /v1/completions --window 2h --url http://10.0.0.5:8080)`,
    )
    .action(submit);

const statusCommand = (): Command =>
  addApiOptions(new Command('status'))
    .description('tell how far a batch is, and what is wrong with its input')
    .argument('<id>', 'the id that submit printed')
    .addOption(waitOption())
    .option('--json', "print OpenAI's batch object", false)
    .addHelpText(
      'after',
      `${API_HELP}

Examples:
  rondo batch status batch_0199… --wait
  rondo batch status batch_0199… --json`,
    )
    .action(status);

const resultsCommand = (): Command =>
  addOutOptions(addApiOptions(new Command('results')))
    .description('fetch the answers of a batch that is over, in the order of its lines')
    .argument('<id>', 'the id that submit printed')
    .addHelpText(
      'after',
      `
Without --out the answers go to standard output. Lines without an answer are in the errors, each with its reason.
${API_HELP}

Examples:
  rondo batch results batch_0199… > answers.jsonl
  rondo batch results batch_0199… --out answers.jsonl --errors failed.jsonl`,
    )
    .action(results);

const cancelCommand = (): Command =>
  addApiOptions(new Command('cancel'))
    .description('start no more lines of a batch; what was answered by then can be fetched')
    .argument('<id>', 'the id that submit printed')
    .addHelpText(
      'after',
      `${API_HELP}

Example:
  rondo batch cancel batch_0199…`,
    )
    .action(async (id: string, flags: ApiFlags) => {
      const client = await apiClient(flags);
      process.stdout.write(told(await client.post<Batch>(`/v1/batches/${encodeURIComponent(id)}/cancel`)));
    });

const listCommand = (): Command =>
  addApiOptions(new Command('list'))
    .description('list batches, the newest first')
    .option('--limit <n>', 'how many, at most 100', countOption('--limit'), 20)
    .option('--json', "print OpenAI's batch objects", false)
    .addHelpText(
      'after',
      `${API_HELP}

Example:
  rondo batch list --limit 5`,
    )
    .action(list);

async function submit(file: string, flags: SubmitFlags): Promise<void> {
  const client = await apiClient(flags);
  const total = await checkBatchFile(file, flags.endpoint);
  await checkPlaces(flags);
  process.stderr.write(`${file}: ${total} lines, uploading\n`);
  const { id: input_file_id } = await client.upload(file);
  const { id } = await client.post<Batch>('/v1/batches', {
    input_file_id,
    endpoint: flags.endpoint,
    completion_window: flags.window,
  });
  process.stdout.write(`${id}\n`);
  if (!flags.wait && flags.out === undefined && flags.errors === undefined) return;
  const batch = await followBatch(client, id);
  if (flags.out !== undefined || flags.errors !== undefined) await fetchFiles(client, batch, flags);
  checkCompleted(batch);
}

async function status(id: string, flags: StatusFlags): Promise<void> {
  const client = await apiClient(flags);
  const path = `/v1/batches/${encodeURIComponent(id)}`;
  const found = await client.get<Batch>(path);
  const batch = flags.wait && !isOver(found) ? await followBatch(client, found.id) : found;
  process.stdout.write(flags.json ? `${JSON.stringify(batch, null, 2)}\n` : told(batch));
  if (flags.wait) checkCompleted(batch);
}

async function results(id: string, flags: ApiFlags & OutFlags): Promise<void> {
  const client = await apiClient(flags);
  const batch = await client.get<Batch>(`/v1/batches/${encodeURIComponent(id)}`);
  if (!isOver(batch)) {
    const { total, completed, failed } = batch.request_counts;
    throw new RondoError(
      'INVALID_REQUEST',
      `${id} is ${batch.status}, ${completed + failed} of ${total} lines have ended: rondo batch status ${id} --wait`,
    );
  }
  await fetchFiles(client, batch, flags);
}

async function list({ limit, json, ...flags }: ApiFlags & { limit: number; json: boolean }): Promise<void> {
  const client = await apiClient(flags);
  const { data } = await client.get<{ data: Batch[] }>(`/v1/batches?limit=${limit}`);
  if (json) process.stdout.write(`${JSON.stringify(data, null, 2)}\n`);
  else process.stdout.write(data.map((batch) => `${row(batch)}\n`).join(''));
}

/** Answers to `--out` or standard output, what failed to `--errors` or beside `--out`. */
async function fetchFiles(client: ApiClient, batch: Batch, { out, errors }: OutFlags): Promise<void> {
  await fetchTo(client, batch, batch.output_file_id, out);
  const { failed } = batch.request_counts;
  if (batch.error_file_id === null) return;
  const where = errors ?? (out === undefined ? undefined : `${out.replace(/\.jsonl$/, '')}.errors.jsonl`);
  if (where !== undefined) await fetchTo(client, batch, batch.error_file_id, where);
  const hint = where === undefined ? `rondo batch results ${batch.id} --errors failed.jsonl` : where;
  process.stderr.write(`lines without an answer: ${failed}; why, each: ${hint}\n`);
}

/** An older file stays as it is until the new one is whole. @throws RondoError that says how to fetch again what broke off */
async function fetchTo(
  client: ApiClient,
  { id }: Batch,
  fileId: string | null,
  path: string | undefined,
): Promise<void> {
  await using file = await ResultFile.asked(path);
  try {
    const content =
      fileId === null ? [] : await client.download(`/v1/files/${encodeURIComponent(fileId)}/content`);
    if (file) await file.write(content);
    else await pipeline(Readable.from(content), process.stdout, { end: false });
  } catch (cause) {
    const { code, message, retryable } = RondoError.from(cause);
    if (!retryable) throw cause;
    throw new RondoError(code, `${message}\n${id} is kept: rondo batch results ${id} fetches it again`, {
      cause,
    });
  }
}

/** Places that cannot be written are told before a batch, not hours after it. @throws RondoError CONFIG_INVALID */
async function checkPlaces({ out, errors }: OutFlags): Promise<void> {
  await ResultFile.check(out);
  await ResultFile.check(errors);
}

/** For scripts: a batch that did not get through its lines is a failure. @throws RondoError INVALID_REQUEST */
function checkCompleted(batch: Batch): void {
  if (batch.status === 'completed') return;
  const faults = (batch.errors?.data ?? []).map(fault).join('');
  throw new RondoError(
    'INVALID_REQUEST',
    `${batch.id} is ${batch.status}${faults && `:\n${faults.trimEnd()}`}`,
  );
}

const fault = ({ line, message }: { line: number | null; message: string }): string =>
  `${line === null ? 'the input' : `line ${line} of the input`}: ${message}\n`;

const time = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');

function row({ id, status, created_at, request_counts: { total, completed, failed } }: Batch): string {
  return `${id}  ${status.padEnd(11)}  ${completed + failed} of ${total} lines, ${failed} failed  ${time(created_at)}`;
}

const told = (batch: Batch): string =>
  [
    `${row(batch)}\n`,
    `endpoint ${batch.endpoint}, input ${batch.input_file_id}\n`,
    isOver(batch) ? '' : `expires ${time(batch.expires_at)}\n`,
    ...(batch.errors?.data ?? []).map(fault),
    batch.output_file_id === null && batch.error_file_id === null ? '' : `rondo batch results ${batch.id}\n`,
  ].join('');
