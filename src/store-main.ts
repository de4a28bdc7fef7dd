/**
 * Composition root of the embedded store's process (`me-store`): HealthImaging's paths on a loopback port of its own.
 * The front forwards to it, pipeline processes call it directly.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setPriority } from 'node:os';
import { isOwnHost } from './api/own-host.ts';
import { ThreadPool } from './compute/pool.ts';
import { S3ImportObjects } from './connectors/s3/s3-import-objects.ts';
import { S3Objects } from './connectors/s3/s3-objects.ts';
import { asEndpointError } from './errors.ts';
import { importReportsDir } from './local-store/import-reports.ts';
import { createLocalStore, createStoreApp } from './local-store/local-store.ts';
import { createLogger } from './logger.ts';
import type { FromStore, StoreSettings } from './store-process.ts';

process.title = 'me-store';
const backgroundPriority = 5;

function send(message: FromStore): void {
  process.send?.(message, undefined, undefined, () => undefined);
}

async function start(settings: StoreSettings): Promise<void> {
  const pool = new ThreadPool(settings.threads);
  const store = await createLocalStore({
    dataDir: settings.dataDir,
    allowedUris: [...settings.allowedUris, await importReportsDir()],
    region: settings.region,
    logger: createLogger('store', settings.logLevel),
    pool,
    token: settings.token,
    quotas: settings.quotas,
    objects: new S3ImportObjects(
      new S3Objects({ region: settings.region, endpoint: settings.s3Endpoint, maxSockets: 16 }),
    ),
  });
  const app = createStoreApp(store);
  const server = createServer((request, response) => {
    // Another site's page could reach this port too.
    if (isOwnHost(request.headers.host, '127.0.0.1') && request.headers.origin === undefined) app(request, response);
    else response.writeHead(403).end();
  });
  server.listen(settings.port, '127.0.0.1');
  await once(server, 'listening');
  process.once('disconnect', async () => {
    server.close();
    server.closeAllConnections();
    await store.close();
    await pool.close();
    process.exit(0);
  });
  send({ type: 'ready', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

process.once('message', (settings) => {
  try {
    setPriority(backgroundPriority);
  } catch {
    // Without the capability the store runs at the front's priority.
  }
  start(settings as StoreSettings).catch((thrown: unknown) => {
    send({ type: 'failed', error: asEndpointError(thrown).toJSON() });
    process.disconnect();
    process.exitCode = 1;
  });
});
// Ctrl-C reaches the whole group: the front drains first, then lets go of this process.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
