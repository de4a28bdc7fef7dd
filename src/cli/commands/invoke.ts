import { Command } from 'commander';
import type { InvokeFlags } from '../invoke-model.ts';

export const invokeCommand = (): Command =>
  new Command('invoke')
    .description('Run a model on an image set or a folder, through the AWS SDK')
    .option('--endpoint-url <url>', 'the endpoint', 'http://127.0.0.1:8080')
    .requiredOption('--target-model <name>', 'model archive, NAME.tar.gz')
    .option('--datastore <id>', 'data store of the image set')
    .option('--image-set <id>', 'image set to run on')
    .option('--input <dir>', 'folder or s3:// or file:// URI of DICOM files, or a NIfTI or zip file to send')
    .option('--output <uri>', 'folder or URI that the server writes the results to (default: ./<inference id>, by us)')
    .option('--json', 'print the answer as JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint invoke --target-model spleen.tar.gz --datastore ID --image-set ID
  $ map-endpoint invoke --target-model spleen.tar.gz --input study/ --output results --json

A folder that the server reads or writes itself must lie under one of its --allow folders.`,
    )
    .action(async (flags: InvokeFlags) => {
      const { runInvoke } = await import('../invoke-model.ts');
      await runInvoke(flags);
    });
