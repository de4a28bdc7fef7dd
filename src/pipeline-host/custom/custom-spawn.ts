import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compiledUrl } from '../../compiled-url.ts';
import { programVersion } from '../../version.ts';

/** How processes of custom code are started; from the settings of the server. */
export interface CustomCodeSettings {
  /** The front's environment, of which only harmless and granted variables are passed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Names of variables that custom code is granted. */
  readonly grantedVariables: readonly string[];
  /** Most resident memory of a process of custom code. */
  readonly memoryBytes: number;
  /** Whether what custom code prints goes to the log. */
  readonly logOutput: boolean;
}

/** Variables that tell nothing but where programs lie and how texts are sorted. */
const harmless = ['PATH', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ'];
const mebibyte = 1024 ** 2;

/** The environment of a process of custom code: no credentials, no tokens, but for what was granted by name. */
export function customEnvironment(
  settings: Pick<CustomCodeSettings, 'environment' | 'grantedVariables'>,
): Record<string, string> {
  const scrubbed: Record<string, string> = { MALLOC_TRIM_THRESHOLD_: '131072' };
  for (const name of [...harmless, ...settings.grantedVariables]) {
    const value = settings.environment[name];
    if (value !== undefined) scrubbed[name] = value;
  }
  return scrubbed;
}

/**
 * Node's flags of a process of custom code. Its permission model lets the code read this program, its own archive and
 * its scratch folder, write the latter, and start nothing: the environment of the front (`/proc`), credential files and
 * other requests' data stay out of its reach.
 */
export function customFlags(memoryBytes: number, modelDir: string, scratchDir: string): string[] {
  const program = fileURLToPath(new URL('../../', compiledUrl(import.meta.url, './custom-entry.ts')));
  const known = process.allowedNodeEnvironmentFlags;
  return [
    known.has('--permission') ? '--permission' : '--experimental-permission',
    '--disable-warning=ExperimentalWarning',
    ...[program, folder(modelDir), folder(scratchDir)].map((path) => `--allow-fs-read=${path}`),
    `--allow-fs-write=${folder(scratchDir)}`,
    // The socket of the network's session child needs it where sockets are subject to permission at all.
    ...(known.has('--allow-net') ? ['--allow-net'] : []),
    `--max-old-space-size=${Math.ceil((memoryBytes * 1.25) / mebibyte)}`,
  ];
}

const folder = (path: string): string => (path.endsWith('/') ? path : `${path}/`);

/** Starts a process of custom code; `scratchDir` must be there. */
export function spawnCustom(settings: CustomCodeSettings, modelDir: string, scratchDir: string): ChildProcess {
  const output = settings.logOutput ? 'pipe' : 'ignore';
  return fork(compiledUrl(import.meta.url, './custom-entry.ts'), [programVersion], {
    cwd: modelDir,
    env: customEnvironment(settings),
    execArgv: customFlags(settings.memoryBytes, modelDir, scratchDir),
    serialization: 'advanced',
    stdio: ['ignore', output, output, 'ipc'],
  });
}
