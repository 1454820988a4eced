import { openBundle } from '@rondo/bundle';
import { startCoordinator } from '@rondo/coordinator';
import { type Address, address } from '@rondo/core';
import { Command, Option } from 'commander';
import { addressesOption, addressOption } from './options.ts';
import { serve } from './serve.ts';

/** How routes are cut; `run` offers the same choice. */
export const placementOption = (): Option =>
  new Option(
    '--placement <kind>',
    'homed: all passes of a request on one worker; staged: split over all workers',
  )
    .choices(['homed', 'staged'])
    .default('homed');

interface CoordinatorFlags {
  readonly model: string;
  readonly worker: Address[];
  readonly listen: Address;
  readonly placement: 'homed' | 'staged';
}

/** `rondo coordinator`: the HTTP API over workers that run elsewhere. */
export const coordinatorCommand = (): Command =>
  new Command('coordinator')
    .description('serve the OpenAI API over HTTP with the workers given')
    .requiredOption(
      '--model <bundle>',
      'the bundle directory that the workers hold; only its tokenizer is used',
    )
    .requiredOption(
      '--worker <host:port>',
      'a worker; repeat the option for each',
      addressesOption('--worker'),
    )
    .option('--listen <host:port>', 'where to listen', addressOption('--listen'), address('127.0.0.1:8080'))
    .addOption(placementOption())
    .addHelpText(
      'after',
      `
Prints 'ready <url>' once all workers are linked and the port is open. A worker that cannot be reached, or that
holds another bundle, ends the start with an error that says so.

Example:
  rondo coordinator --model bundles/looped --worker 127.0.0.1:7601 --worker 127.0.0.1:7602 --placement staged`,
    )
    .action(coordinator);

const coordinator = (flags: CoordinatorFlags): Promise<void> =>
  serve('coordinator', async ({ log, metrics, lifecycle }) => {
    const bundle = await openBundle(flags.model);
    const running = await startCoordinator({
      bundle,
      workers: flags.worker,
      listen: flags.listen,
      placement: flags.placement,
      modelName: bundle.manifest.name,
      log,
      metrics,
    });
    lifecycle.onStop('coordinator', () => running.stop());
    process.stdout.write(`ready ${running.url}\n`);
  });
