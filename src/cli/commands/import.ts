import { Command, Option } from 'commander';
import { withImagingOptions } from '../flags.ts';
import type { ImportFlags } from '../import-images.ts';

export const importCommand = (): Command =>
  withImagingOptions(new Command('import'))
    .description('Import DICOM files into the local store or AWS HealthImaging and print the image sets made')
    .argument('<dir>', 'folder of DICOM files, or an s3:// or file:// URI')
    .option('--datastore <id>', 'data store (default: the only one, or a new one where there is none)')
    .option('--role-arn <arn>', 'role that HealthImaging reads and writes S3 with (AWS)')
    .option('--output <uri>', 'folder or s3:// prefix for the report of the job (AWS; default: a temporary folder)')
    .addOption(new Option('--s3-endpoint-url <url>', "an S3 other than AWS's own").env('AWS_ENDPOINT_URL_S3'))
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint import study/
  $ map-endpoint import study/ --json | jq -r '.imageSets[].imageSetId'
  $ map-endpoint import s3://bucket/study/ --region us-east-1 --datastore ID --role-arn ARN --output s3://bucket/out/

Ends with 1 when any file was refused; each refused file is named on standard error.`,
    )
    .action(async (dir: string, flags: ImportFlags) => {
      const { runImport } = await import('../import-images.ts');
      await runImport(dir, flags);
    });
