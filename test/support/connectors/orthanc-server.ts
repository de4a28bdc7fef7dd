import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';

/** A real PACS with DICOMweb (Debian's orthanc and orthanc-dicomweb), on a folder of its own, behind a password. */
export interface OrthancServer {
  /** Root of its DICOMweb service. */
  readonly dicomWeb: string;
  readonly authorization: string;
  /** Stores the files of a folder; gives how many there were. */
  storeFolder(folder: string): Promise<number>;
  /** SOPInstanceUIDs of a modality, by QIDO-RS. */
  instancesOf(modality: string): Promise<string[]>;
  /** One instance, by WADO-RS. */
  fetchInstance(path: string): Promise<Response>;
  close(): Promise<void>;
}

const plugin = '/usr/share/orthanc/plugins/libOrthancDicomWeb.so';

function findBinary(): string | undefined {
  for (const path of ['/usr/sbin/Orthanc', '/usr/bin/Orthanc']) if (existsSync(path)) return path;
  try {
    return execFileSync('which', ['Orthanc'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

const binary = findBinary();

/** True when Orthanc and its plugin are installed. Without them its tests are skipped, and say so. */
export const hasOrthanc: boolean = binary !== undefined && existsSync(plugin);
if (!hasOrthanc) {
  process.stderr.write('note: the tests on Orthanc are skipped: apt-get install orthanc orthanc-dicomweb\n');
}

export async function startOrthanc(): Promise<OrthancServer> {
  const root = mkdtempSync(join(tmpdir(), 'orthanc-'));
  const port = await freePort();
  const configuration = {
    Name: 'Test',
    StorageDirectory: join(root, 'storage'),
    IndexDirectory: join(root, 'index'),
    Plugins: [plugin],
    HttpPort: port,
    DicomServerEnabled: false,
    RemoteAccessAllowed: false,
    AuthenticationEnabled: true,
    RegisteredUsers: { test: 'secret' },
    DicomWeb: { Enable: true, Root: '/dicom-web/', EnableWado: false },
  };
  writeFileSync(join(root, 'orthanc.json'), JSON.stringify(configuration));
  const server = spawn(binary as string, [join(root, 'orthanc.json')], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  const authorization = `Basic ${Buffer.from('test:secret').toString('base64')}`;
  const call = (path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, { ...init, headers: { authorization, ...init.headers } });
  await untilListening(() => call('/system'), server);
  return {
    dicomWeb: `${url}/dicom-web`,
    authorization,
    async storeFolder(folder) {
      const names = readdirSync(folder);
      for (const name of names) {
        const answer = await call('/instances', { method: 'POST', body: readFileSync(join(folder, name)) });
        if (!answer.ok) throw new Error(`Orthanc refused ${name}: ${answer.status}`);
      }
      return names.length;
    },
    async instancesOf(modality) {
      const answer = await call(`/dicom-web/instances?Modality=${modality}`, {
        headers: { accept: 'application/dicom+json' },
      });
      const found = (await answer.json()) as Record<string, { Value: string[] }>[];
      return found.map((each) => each['00080018']?.Value[0] as string);
    },
    fetchInstance: (path) =>
      call(`/dicom-web${path}`, {
        headers: { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' },
      }),
    async close() {
      const gone = once(server, 'exit');
      server.kill('SIGKILL');
      await gone;
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function untilListening(call: () => Promise<Response>, server: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (server.exitCode !== null) throw new Error(`Orthanc ended with ${server.exitCode}`);
    const answered = await call().then(
      ({ ok }) => ok,
      () => false,
    );
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('Orthanc did not start');
}
