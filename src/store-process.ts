import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { compiledUrl } from './compiled-url.ts';
import type { EndpointConfig } from './config.ts';
import { EndpointError, type ErrorBody } from './errors.ts';
import type { Logger } from './logger.ts';

/** What the store's process is told at its start. */
export interface StoreSettings {
  readonly dataDir: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly allowedUris: readonly string[];
  readonly region?: string;
  readonly s3Endpoint?: string;
  readonly token?: string;
  readonly quotas?: Readonly<Record<string, number>>;
  readonly threads: number;
  readonly logLevel: string;
}

export type FromStore =
  | { readonly type: 'ready'; readonly url: string }
  | { readonly type: 'failed'; readonly error: ErrorBody };

/** The embedded store, running beside the front. */
export interface StoreProcess {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Starts the embedded HealthImaging in a process of its own (the front stays free of its work).
 *
 * @throws EndpointError what its start failed with: `conflict` when another server owns the folder
 */
export async function startStore(config: EndpointConfig, logger: Logger): Promise<StoreProcess> {
  let child: ChildProcess | undefined;
  let closing = false;
  const start = async (port: number): Promise<string> => {
    child = fork(compiledUrl(import.meta.url, './store-main.ts'), [], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.send(settingsOf(config, port));
    const url = await firstAnswer(child);
    child.once('exit', () => {
      if (closing) return;
      logger.error('the embedded store died; it is started again on its port');
      start(Number(new URL(url).port)).catch(() => logger.error('the embedded store cannot be started again'));
    });
    return url;
  };
  const url = await start(0);
  return {
    url,
    close: async () => {
      closing = true;
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

function settingsOf(config: EndpointConfig, port: number): StoreSettings {
  return {
    dataDir: join(config.dataDir, 'store'),
    port,
    // Imports read no DICOMweb servers.
    allowedUris: config.allowedUris.filter((uri) => !/^https?:/i.test(uri)),
    ...(config.region === undefined ? {} : { region: config.region }),
    ...(config.s3Endpoint === undefined ? {} : { s3Endpoint: config.s3Endpoint }),
    ...(config.storeToken === undefined ? {} : { token: config.storeToken }),
    quotas: config.storeQuotas,
    threads: config.workers,
    logLevel: config.logLevel,
  };
}

function firstAnswer(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => {
      const answer = message as FromStore;
      if (answer.type === 'ready') resolve(answer.url);
      else reject(EndpointError.fromBody(answer.error));
    });
    child.once('error', (cause) => reject(new EndpointError('internal', 'The store cannot be started.', { cause })));
    child.once('exit', () => reject(new EndpointError('internal', 'The store ended before it was ready.')));
  });
}
