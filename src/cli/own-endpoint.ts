import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compiledUrl } from '../compiled-url.ts';
import { EndpointError } from '../errors.ts';

/** A `map-endpoint local` in a process of its own, as a user would start it. */
export interface OwnEndpoint {
  readonly url: string;
  /** Ends it, drained. */
  stop(): Promise<void>;
}

/**
 * @throws EndpointError `internal` with what it said last, when it does not start
 */
export async function startOwnEndpoint(folders: {
  readonly models: string;
  readonly data: string;
  readonly allow: readonly string[];
}): Promise<OwnEndpoint> {
  const cli = fileURLToPath(compiledUrl(import.meta.url, './map-endpoint.ts'));
  const flags = ['--port', '0', '--json', '--models', folders.models, '--data', folders.data];
  const child = spawn(
    process.execPath,
    [cli, 'local', ...flags, ...folders.allow.flatMap((folder) => ['--allow', folder])],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const endWithUs = (): void => {
    child.kill('SIGTERM');
  };
  process.once('exit', endWithUs);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  const started = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>;
  const ended = once(child, 'exit').then(() => {
    throw new EndpointError('internal', `The endpoint ended: ${said.trim()}`);
  });
  // Later it is awaited by nobody; its end is then wanted.
  ended.catch(() => undefined);
  const [line] = await Promise.race([started, ended]);
  return {
    url: (JSON.parse(line) as { url: string }).url,
    stop: async () => {
      process.off('exit', endWithUs);
      await stop(child);
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
