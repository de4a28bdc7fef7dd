import { Command } from 'commander';

export const serveCommand = (): Command =>
  new Command('serve')
    .description("Run the container's endpoint; its settings come from the environment (docs/configuration.md)")
    .addHelpText(
      'after',
      `
Examples:
  $ SAGEMAKER_MULTI_MODEL=true map-endpoint serve
  $ MODEL_DATA_URL=s3://bucket/models/ ALLOWED_URIS=s3://bucket/results/ map-endpoint serve`,
    )
    .action(async () => {
      const { runServe } = await import('../run-server.ts');
      await runServe();
    });
