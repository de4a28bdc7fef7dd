import { Command, Option } from 'commander';
import type { ImportFlags } from '../import-images.ts';

export const importCommand = (): Command =>
  new Command('import')
    .description('Import a folder of DICOM files into the local store and print the image sets made')
    .argument('<dir>', 'folder of DICOM files, or an s3:// or file:// URI')
    .option('--endpoint-url <url>', 'the endpoint', 'http://127.0.0.1:8080')
    .option('--datastore <id>', 'data store (default: the only one, or a new one where there is none)')
    .addOption(new Option('--token <token>', 'what the store asks for (STORE_TOKEN)').env('STORE_TOKEN'))
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint import study/
  $ map-endpoint import study/ --json | jq -r '.imageSets[].imageSetId'

Ends with 1 when any file was refused; each refused file is named on standard error.`,
    )
    .action(async (dir: string, flags: ImportFlags) => {
      const { runImport } = await import('../import-images.ts');
      await runImport(dir, flags);
    });
