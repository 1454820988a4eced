import { collectBuffersYoung } from '@rondo/chassis';
import { Command } from 'commander';
import { loadCommands } from './commands.ts';
import { exitWith } from './failure.ts';

collectBuffersYoung();

const program = new Command('rondo')
  .description(
    'Serves looped Transformers: one block of layers, applied again and again, on one machine or a cluster.',
  )
  .addHelpText(
    'after',
    `
From nothing to an answer:
  rondo pull smollm2-135m-instruct
  rondo convert .cache/checkpoints/smollm2-135m-instruct --out bundles/looped \\
    --loop-layers 4-7 --loops 2 --loop-damping 0.5 --precision int8
  rondo run --model bundles/looped

RONDO_LOG (trace, debug, info, warn, error, silent) sets how much goes to standard error; modules may differ: with
RONDO_LOG=info,requests=silent,workers=debug the line at the end of each request is left out (modules: requests, workers).`,
  );

for (const command of await loadCommands(process.argv[2]).catch(exitWith)) program.addCommand(command);
/** What is mistyped is told with the command whose help knows better. */
function tellHelp(command: Command, path: string): void {
  command.configureOutput({
    outputError: (text, write) =>
      write(`${text.replace(/^error: /, 'rondo: ').trimEnd()} (see ${path} --help)\n`),
  });
  for (const each of command.commands) tellHelp(each, `${path} ${each.name()}`);
}
tellHelp(program, 'rondo');

await program.parseAsync().catch(exitWith);
