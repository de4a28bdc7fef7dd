import { Command } from 'commander';
import type { PackFlags } from '../pack-bundle.ts';

export const packCommand = (): Command =>
  new Command('pack')
    .description('Check a MONAI bundle and pack it as a model archive')
    .argument('<bundle-dir>', 'folder with configs/, models/model.onnx and, if wanted, map.json')
    .requiredOption('-o, --output <file>', 'archive to write, NAME.tar.gz')
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint pack samples/spleen_ct_demo -o models/spleen.tar.gz

The archive appears whole or not at all, so a folder that a server watches may be written to.`,
    )
    .action(async (bundleDir: string, flags: PackFlags) => {
      const { runPack } = await import('../pack-bundle.ts');
      await runPack(bundleDir, flags);
    });
