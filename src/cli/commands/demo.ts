import { Command, Option } from 'commander';
import type { DemoFlags } from '../demo/demo.ts';

export const demoCommand = (): Command =>
  new Command('demo')
    .description('Show the whole way on a rendered CT: import, pack, invoke, compare with the truth')
    .option('--out <dir>', 'folder for the results; what an earlier demo left there is replaced', 'out/demo')
    // The demo's own endpoint inherits the variable, and asks for the token.
    .addOption(new Option('--token <token>').env('STORE_TOKEN').hideHelp())
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint demo

Ends with 1 when the segmentation misses the phantom's true spleen (Dice below 0.95).`,
    )
    .action(async (flags: DemoFlags) => {
      const { runDemo } = await import('../demo/demo.ts');
      await runDemo(flags);
    });
