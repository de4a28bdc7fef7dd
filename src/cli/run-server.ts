import { once } from 'node:events';
import { startEndpoint } from '../main.ts';
import { createTerminal } from './terminal.ts';

/** What `map-endpoint local` was told. */
export interface LocalFlags {
  readonly port?: number;
  readonly host?: string;
  readonly models?: string;
  readonly data?: string;
  readonly allow: readonly string[];
  readonly asyncOutput?: string;
  readonly asyncNotify?: string;
  readonly json: boolean;
}

/** `map-endpoint local`: serves until it is told to stop, then drains. */
export async function runLocal(flags: LocalFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  const endpoint = await startEndpoint({
    mode: 'local',
    overrides: {
      host: flags.host,
      port: flags.port,
      modelDataUrl: flags.models,
      dataDir: flags.data,
      asyncOutput: flags.asyncOutput,
      asyncNotify: flags.asyncNotify,
      // Without the flag, ALLOWED_URIS counts.
      allowedUris: flags.allow.length > 0 ? flags.allow : undefined,
    },
  });
  terminal.json({ url: endpoint.url });
  terminal.line(`map-endpoint local is ready at ${endpoint.url} (Ctrl-C stops it)`);
  await stopSignal();
  await endpoint.close();
}

/** `map-endpoint serve`: the container's command. */
export async function runServe(): Promise<void> {
  const endpoint = await startEndpoint({ mode: 'serve' });
  await stopSignal();
  await endpoint.close();
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
async function stopSignal(): Promise<void> {
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1));
}
