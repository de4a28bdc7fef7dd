import { Command } from 'commander';
import type { InspectFlags } from '../inspect-archive.ts';

export const inspectCommand = (): Command =>
  new Command('inspect')
    .description('Show what a model archive holds and whether this program can run it')
    .argument('<archive>', 'NAME.tar.gz, or the folder of a bundle')
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint inspect models/spleen.tar.gz

Ends with 1 when the archive is damaged or uses something that is not supported; the table says what and why.`,
    )
    .action(async (archive: string, flags: InspectFlags) => {
      const { runInspect } = await import('../inspect-archive.ts');
      await runInspect(archive, flags);
    });
