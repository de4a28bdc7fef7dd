import { Command } from 'commander';
import type { CleanupFlags } from '../cleanup.ts';
import { collect, withImagingOptions } from '../flags.ts';

export const cleanupCommand = (): Command =>
  withImagingOptions(new Command('cleanup'))
    .description('List what a workshop or test has left in AWS, and delete it with --yes')
    .option('--datastore <id>', 'data store to empty and delete; repeatable', collect, [])
    .option('--all', 'every data store of the account in this region, or of the endpoint', false)
    .option('--keep-datastores', 'delete the image sets only', false)
    .option('--sagemaker <text>', 'also endpoints, endpoint configurations and models whose name contains this')
    .option('--sagemaker-endpoint-url <url>', "a SageMaker other than AWS's own")
    .option('--yes', 'delete; without it everything is only listed', false)
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint cleanup --datastore ID
  $ map-endpoint cleanup --datastore ID --sagemaker map-endpoint --region us-east-1 --yes

What is deleted cannot be brought back. Ends with 1 when anything that was to go is still there.`,
    )
    .action(async (flags: CleanupFlags) => {
      const { runCleanup } = await import('../cleanup.ts');
      await runCleanup(flags);
    });
