import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endGroup } from './process-group.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const python = process.env.MAP_ENDPOINT_PYTHON;

/**
 * What becomes of a block, by the word behind its language: `test` runs here, in the order of the page; `ci` is what
 * .ci/run and the demo's own test do; `aws` needs an AWS account and is only listed.
 */
const known = ['test', 'ci', 'aws'];

interface Block {
  readonly page: string;
  readonly language: string;
  readonly tag: string | undefined;
  readonly code: string;
}

const blocksOf = (page: string): Block[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```(\w+)(?: (\w+))?\n([\s\S]*?)^```$/gm)].map((match) => ({
    page,
    language: match[1] as string,
    tag: match[2],
    code: match[3] as string,
  }));

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'docs/async.md',
  'docs/aws.md',
  'docs/configuration.md',
  'docs/errors.md',
  'docs/handlers.md',
  'docs/healthimaging.md',
  'docs/inputs.md',
  'docs/oip.md',
];
const blocks = pages.flatMap(blocksOf);
const runnable = ['README.md', 'docs/async.md'].flatMap(blocksOf).filter(({ tag }) => tag === 'test');

describe('code blocks of the pages', () => {
  it('say what becomes of them when they are code', () => {
    for (const { page, language, tag } of blocks) {
      if (['text', 'json', 'mermaid'].includes(language)) expect(tag, page).toBeUndefined();
      else expect(known, `${page}: a ${language} block`).toContain(tag);
    }
  });

  it('are run, but for those that need AWS', () => {
    expect(blocks.filter(({ tag }) => tag === 'aws').map(({ page, language }) => `${page} ${language}`)).toEqual([
      'docs/aws.md python',
    ]);
    expect(runnable.map(({ language }) => language)).toEqual(['sh', 'sh', 'python', 'js', 'sh', 'python']);
  });
});

describe.skipIf(!python)('the first steps of README.md', () => {
  let dir: string;
  let port: number;
  let server: ChildProcess | undefined;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'map-endpoint-readme-'));
    for (const name of ['node_modules', 'samples', 'package.json', 'dist'])
      symlinkSync(join(root, name), join(dir, name));
    mkdirSync(join(dir, 'results'));
    port = await freePort();
    // What the reader has by then: the demo's output.
    execFileSync('npx', ['map-endpoint', 'demo', '--json'], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  }, 170_000);

  afterAll(async () => {
    if (server) await endGroup(server);
    rmSync(dir, { recursive: true, force: true });
  });

  it.each(runnable.map((block, index) => [`${index + 1}, ${block.language}`, block] as const))(
    'block %s',
    async (_, block) => {
      // The page's port may be taken here, and its build would run under other tests' feet.
      const code = block.code
        .replaceAll('8080', String(port))
        .replace('npm run build\n', '')
        .replace('map-endpoint local ', `map-endpoint local --port ${port} `);
      if (/&\n$/.test(code)) {
        server = spawn('bash', ['-euc', code.replace(/&\n$/, '')], {
          cwd: dir,
          detached: true,
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        await printed(server, 'is ready at');
        return;
      }
      const commands = code.replaceAll(
        /(map-endpoint (?:import|invoke)) /g,
        `$1 --endpoint-url http://127.0.0.1:${port} `,
      );
      const output = run(block.language, commands);
      if (block.language !== 'sh') expect(output).toMatch(/Spleen/i);
    },
  );

  function run(language: string, code: string): string {
    const env = {
      ...process.env,
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
    };
    const file = join(dir, { sh: 'block.sh', python: 'block.py', js: 'block.mjs' }[language] as string);
    writeFileSync(file, code);
    const [command, args] = { sh: ['bash', ['-eu']], python: [python as string, []], js: ['node', []] }[language] as [
      string,
      string[],
    ];
    return execFileSync(command, [...args, file], { cwd: dir, env, encoding: 'utf8', timeout: 120_000 });
  }
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Waits until a process has printed a text; what it prints later is read and dropped. */
function printed(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
      if (seen.includes(text)) resolve();
    });
    child.once('exit', () => reject(new Error(`The process ended before it printed "${text}".`)));
  });
}
