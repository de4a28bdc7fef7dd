import { Command } from 'commander';
import type { BenchFlags } from '../bench-archive.ts';

export const benchCommand = (): Command =>
  new Command('bench')
    .description('Measure how long requests to a model archive take on this machine')
    .argument('<archive>', 'NAME.tar.gz, or the folder of a bundle')
    .option('--input <image>', 'NIfTI, zip or folder of DICOM files (default: a made-up volume)')
    .option('--runs <number>', 'warm requests', '5')
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint bench models/spleen.tar.gz --input study/

Starts an endpoint of its own for it, sends one request after another, and tells the median of each phase.`,
    )
    .action(async (archive: string, flags: BenchFlags) => {
      const { runBench } = await import('../bench-archive.ts');
      await runBench(archive, flags);
    });
