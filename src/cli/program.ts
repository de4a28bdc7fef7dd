import { Command } from 'commander';
import { programVersion } from '../version.ts';
import { benchCommand } from './commands/bench.ts';
import { cleanupCommand } from './commands/cleanup.ts';
import { demoCommand } from './commands/demo.ts';
import { dicomizeCommand } from './commands/dicomize.ts';
import { importCommand } from './commands/import.ts';
import { inspectCommand } from './commands/inspect.ts';
import { invokeCommand } from './commands/invoke.ts';
import { localCommand } from './commands/local.ts';
import { newHandlerCommand } from './commands/new-handler.ts';
import { packCommand } from './commands/pack.ts';
import { serveCommand } from './commands/serve.ts';
import { validateCommand } from './commands/validate.ts';

/**
 * The command line. What a command does is imported when it runs: `serve` must answer `/ping` within seconds of its
 * start, and none of them should pay for the others.
 */
export function createProgram(): Command {
  const program = new Command('map-endpoint')
    .description('Serves MONAI bundles on medical images: DICOM in, DICOM SEG and measurements out.')
    .version(programVersion, '-V, --version', 'print the version')
    .showHelpAfterError('(--help tells what it takes)')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint demo
  $ map-endpoint pack bundles/spleen -o models/spleen.tar.gz
  $ map-endpoint local --models models --allow results
  $ map-endpoint import study/
  $ map-endpoint invoke --target-model spleen.tar.gz --datastore ID --image-set ID --output results

Exit codes: 0 done, 1 the work failed, 2 the command line or a setting is wrong.`,
    );
  const commands = [
    localCommand,
    serveCommand,
    importCommand,
    dicomizeCommand,
    cleanupCommand,
    packCommand,
    inspectCommand,
    validateCommand,
    benchCommand,
    newHandlerCommand,
    invokeCommand,
    demoCommand,
  ];
  for (const command of commands) program.addCommand(command().copyInheritedSettings(program));
  return program;
}
