import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { ZipFile } from 'yazl';
import { sendWell, untilWell } from './load-client.ts';
import { freePorts, type Peer, payload, processTree, startGroup, stopGroup } from './peer.ts';

/** The same bytes back; `identity.py`. */
export const identityHandler = `def handle(data, context):
    if data is None:
        return None
    return [bytes(row.get("body") or row.get("data")) for row in data]
`;
const octets = { 'content-type': 'application/octet-stream' };
const startLimitMs = 30_000;
const same = (body: Buffer): boolean => body.equals(payload);

/** A program beside an interpreter; undefined when it isn't installed. */
function programOf(python: string | undefined, name: string): string | undefined {
  const program = python === undefined ? undefined : join(dirname(python), name);
  return program !== undefined && existsSync(program) ? program : undefined;
}

/** Multi-Model-Server in SageMaker's multi-model mode, one worker a model; undefined when it isn't installed. */
export async function startMultiModelServer(python: string | undefined): Promise<Peer | undefined> {
  const program = programOf(python, 'multi-model-server');
  if (program === undefined) return undefined;
  const dir = mkdtempSync(join(tmpdir(), 'bench-mms-'));
  mkdirSync(join(dir, 'model'));
  writeFileSync(join(dir, 'model', 'identity.py'), identityHandler);
  writeFileSync(join(dir, 'log4j.properties'), 'log4j.rootLogger=ERROR\n');
  const [port] = (await freePorts(1)) as [number];
  const url = `http://127.0.0.1:${port}`;
  const settings = [
    `inference_address=${url}`,
    `management_address=${url}`,
    'default_service_handler=identity.py:handle',
    'default_workers_per_model=1',
    'decode_input_request=false',
  ];
  writeFileSync(join(dir, 'config.properties'), settings.join('\n'));
  const flags = ['--mms-config', 'config.properties', '--model-store', '/', '--log-config', 'log4j.properties'];
  const child = startGroup(
    program,
    ['--start', '--foreground', ...flags],
    { SAGEMAKER_MULTI_MODEL: 'true', ...environmentOf(program, dir) },
    dir,
  );
  await ready(`${url}/ping`, child);
  return {
    name: 'Multi-Model-Server 1.1.11',
    url,
    pid: child.pid as number,
    load: async (model) => {
      const body = Buffer.from(JSON.stringify({ model_name: `m${model}`, url: join(dir, 'model') }));
      await sendWell({ url: `${url}/models`, headers: { 'content-type': 'application/json' }, body });
    },
    call: (model) => ({ url: `${url}/models/m${model}/invoke`, headers: octets, body: payload }),
    check: same,
    // The worker is the fork of a process of the same name.
    workers: () => leavesNamed(child.pid as number, 'model_service_worker'),
    stop: async () => {
      await stopGroup(child);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** TorchServe, one worker a model, log level error; undefined when it isn't installed. */
export async function startTorchServe(python: string | undefined): Promise<Peer | undefined> {
  const program = programOf(python, 'torchserve');
  if (program === undefined) return undefined;
  const dir = mkdtempSync(join(tmpdir(), 'bench-torchserve-'));
  mkdirSync(join(dir, 'store'));
  writeFileSync(join(dir, 'store', 'identity.mar'), await modelArchive());
  writeFileSync(
    join(dir, 'log4j2.xml'),
    '<Configuration><Appenders><Console name="c" target="SYSTEM_ERR"><PatternLayout pattern="%m%n"/></Console></Appenders>' +
      '<Loggers><Root level="error"><AppenderRef ref="c"/></Root></Loggers></Configuration>',
  );
  const [port, managementPort, metricsPort] = (await freePorts(3)) as [number, number, number];
  const url = `http://127.0.0.1:${port}`;
  const management = `http://127.0.0.1:${managementPort}`;
  const settings = [
    `inference_address=${url}`,
    `management_address=${management}`,
    `metrics_address=http://127.0.0.1:${metricsPort}`,
    'default_workers_per_model=1',
    'disable_system_metrics=true',
  ];
  writeFileSync(join(dir, 'config.properties'), settings.join('\n'));
  const flags = ['--ncs', '--model-store', 'store', '--ts-config', 'config.properties', '--log-config', 'log4j2.xml'];
  const child = startGroup(
    program,
    ['--start', '--foreground', '--disable-token-auth', '--enable-model-api', ...flags],
    environmentOf(program, dir),
    dir,
  );
  await ready(`${url}/ping`, child);
  return {
    name: 'TorchServe 0.12',
    url,
    pid: child.pid as number,
    load: async (model) => {
      const query = `url=identity.mar&model_name=m${model}&initial_workers=1&synchronous=true`;
      await sendWell({ url: `${management}/models?${query}` });
    },
    call: (model) => ({ url: `${url}/predictions/m${model}`, headers: octets, body: payload }),
    check: same,
    workers: () => leavesNamed(child.pid as number, 'model_service_worker'),
    stop: async () => {
      await stopGroup(child);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Both keep a file of their process id in the temporary folder, and refuse to start beside another one. */
const environmentOf = (program: string, dir: string): NodeJS.ProcessEnv => ({
  PATH: `${dirname(program)}:${process.env.PATH}`,
  TMPDIR: dir,
});

async function ready(url: string, child: ChildProcess): Promise<void> {
  if ((await untilWell({ url, method: 'GET' }, startLimitMs)) !== Infinity) return;
  await stopGroup(child);
  throw new Error(`${url} did not come up`);
}

const leavesNamed = (root: number, name: string): number[] => {
  const tree = processTree(root).filter(({ command }) => command.includes(name));
  return tree.filter(({ pid }) => !tree.some(({ parent }) => parent === pid)).map(({ pid }) => pid);
};

/** A .mar by hand: the archivers of both servers take the same name in a Python environment. */
async function modelArchive(): Promise<Buffer> {
  const manifest = {
    runtime: 'python',
    model: { modelName: 'identity', handler: 'identity.py', modelVersion: '1.0' },
    archiverVersion: '0.12.0',
  };
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(JSON.stringify(manifest)), 'MAR-INF/MANIFEST.json');
  zip.addBuffer(Buffer.from(identityHandler), 'identity.py');
  zip.end();
  return await buffer(zip.outputStream);
}
