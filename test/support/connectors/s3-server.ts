import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { S3Objects } from '../../../src/connectors/s3/s3-objects.ts';
import { freePort } from '../free-port.ts';

/** A real S3 server (versitygw: checks signatures, checksums and conditions) on folders of its own. */
export interface S3Server {
  readonly endpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** A client as the product makes it. */
  readonly objects: S3Objects;
  createBucket(name: string): Promise<void>;
  /** Ends the server only: what is asked of it from then on fails. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** `VERSITYGW`, the PATH, or where `go install` puts it. */
function findBinary(): string | undefined {
  const named = process.env.VERSITYGW;
  if (named) return existsSync(named) ? named : undefined;
  try {
    return execFileSync('which', ['versitygw'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    const installed = join(process.env.GOBIN ?? join(process.env.GOPATH ?? join(homedir(), 'go'), 'bin'), 'versitygw');
    return existsSync(installed) ? installed : undefined;
  }
}

const binary = findBinary();

/** True when the server is installed. Without it the S3 tests are skipped, and say so. */
export const hasS3Server: boolean = binary !== undefined;
if (!hasS3Server) {
  process.stderr.write(
    'note: versitygw is not installed, the tests on S3 are skipped: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0\n',
  );
}

export async function startS3Server(): Promise<S3Server> {
  const root = mkdtempSync(join(tmpdir(), 's3-server-'));
  const port = await freePort();
  const credentials = { accessKeyId: 'test', secretAccessKey: 'testtest' };
  const endpoint = `http://127.0.0.1:${port}`;
  const server = spawn(binary as string, ['--port', `127.0.0.1:${port}`, 'posix', root], {
    env: { ROOT_ACCESS_KEY: credentials.accessKeyId, ROOT_SECRET_KEY: credentials.secretAccessKey },
    stdio: 'ignore',
  });
  await untilListening(endpoint, server);
  const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true });
  const objects = new S3Objects({
    endpoint,
    credentials,
    maxSockets: 16,
    retry: { attempts: 2, baseDelayMs: 1, maxDelayMs: 5, stallTimeoutMs: 5_000 },
  });
  const stop = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    await gone;
  };
  return {
    endpoint,
    credentials,
    objects,
    async createBucket(name) {
      await client.send(new CreateBucketCommand({ Bucket: name }));
    },
    stop,
    async close() {
      client.destroy();
      await objects.close();
      await stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function untilListening(endpoint: string, server: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (server.exitCode !== null) throw new Error(`versitygw ended with ${server.exitCode}`);
    const answered = await fetch(endpoint).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('versitygw did not start');
}
