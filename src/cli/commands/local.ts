import { Command } from 'commander';
import { collect, parsePort } from '../flags.ts';
import type { LocalFlags } from '../run-server.ts';

export const localCommand = (): Command =>
  new Command('local')
    .description('Run the endpoint with its own HealthImaging-compatible store on this machine')
    .option('--port <port>', 'port to listen on; 0 takes a free one (default: 8080)', parsePort)
    .option('--host <name>', 'address to listen on (default: 127.0.0.1)')
    .option('--models <dir>', 'folder or s3:// prefix of the model archives (default: ./models)')
    .option('--data <dir>', 'folder of the store and of this server (default: ./.map-endpoint)')
    .option('--allow <prefix>', 'folder or s3:// prefix that inputs and outputs may name; repeatable', collect, [])
    .option('--async-output <place>', 'folder or s3:// prefix of asynchronous answers (default: in the --data folder)')
    .option('--async-notify <place>', 'file or webhook URL that is told of finished asynchronous jobs')
    .option('--json', 'print {"url": …} once ready; nothing else on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint local --models models --allow results
  $ map-endpoint local --port 0 --json

AWS SDKs take the printed URL as their endpoint: SageMaker Runtime, and Medical Imaging with the host prefix off.`,
    )
    .action(async (flags: LocalFlags) => {
      const { runLocal } = await import('../run-server.ts');
      await runLocal(flags);
    });
