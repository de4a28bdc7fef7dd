// Runs the store alone in a process, from dist: for tests that kill it, and for the Python clients.
// node store-server.mjs DATA_DIR ALLOWED… prints {"url"} on standard output once it answers.
import { ThreadPool } from '../../../dist/compute/pool.js';
import { createLocalStore, createStoreApp } from '../../../dist/local-store/local-store.js';
import { createLogger } from '../../../dist/logger.js';

const [dataDir, ...allowedUris] = process.argv.slice(2);
const pool = new ThreadPool(2);
try {
  const token = process.env.STORE_TOKEN || undefined;
  const store = await createLocalStore({ dataDir, allowedUris, pool, token, logger: createLogger('store', 'warn') });
  const server = createStoreApp(store).listen(0, '127.0.0.1', () => {
    process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })}\n`);
  });
  process.on('SIGTERM', async () => {
    server.close();
    await store.close();
    await pool.close();
    process.exit(0);
  });
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: error.message, code: error.code })}\n`);
  process.exit(1);
}
