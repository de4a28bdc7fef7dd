import { Command } from 'commander';
import type { PackFlags } from '../pack-bundle.ts';

export const packCommand = (): Command =>
  new Command('pack')
    .description('Check MONAI bundles and pack them as a model archive')
    .argument(
      '<bundle-dirs...>',
      'folder with configs/, models/model.onnx and, if wanted, map.json; or several of them',
    )
    .requiredOption('-o, --output <file>', 'archive to write, NAME.tar.gz')
    .option('--no-trial', 'do not run the network on a window of noise')
    .option('--no-map', 'do not add a derived map.json to a bundle that has none')
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint pack samples/spleen_ct_demo -o models/spleen.tar.gz
  $ map-endpoint pack bundles/spleen bundles/brain -o models/both.tar.gz

Several folders, or one with bundles/<model>/ in it, become an archive of several bundles: a request names one as "model".
Each network runs once, on a window of noise, and is held against metadata.json: channels, sizes, names. A bundle without map.json
gets one that names its segments, with SNOMED CT codes where the names are known.
The archive appears whole or not at all, so a folder that a server watches may be written to.`,
    )
    .action(async (bundleDirs: string[], flags: PackFlags) => {
      const { runPack } = await import('../pack-bundle.ts');
      await runPack(bundleDirs, flags);
    });
