import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProgram } from '../../../src/cli/program.ts';
import { runProgram } from '../../../src/cli/run-program.ts';
import { createTerminal, formatTable } from '../../../src/cli/terminal.ts';

const commands = ['local', 'serve', 'import', 'pack', 'inspect', 'validate', 'bench', 'invoke', 'demo'];

let out = '';
let err = '';
beforeEach(() => {
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

const run = (...args: string[]): Promise<number> => runProgram(createProgram(), args);

describe('the command line', () => {
  it.each(commands)('%s tells what it takes, with an example, and ends with 0', async (command) => {
    expect(await run(command, '--help')).toBe(0);
    expect(out).toContain(`Usage: map-endpoint ${command}`);
    expect(out).toContain('Examples:');
    expect(out).toMatch(new RegExp(`\\$ .*map-endpoint ${command}`));
  });

  it('lists every command', async () => {
    expect(await run('--help')).toBe(0);
    for (const command of commands) expect(out).toMatch(new RegExp(`^ {2}${command} `, 'm'));
  });

  it('tells its version, that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
    expect(await run('--version')).toBe(0);
    expect(out).toBe(`${version}\n`);
  });

  it.each(commands)('%s refuses an unknown flag and ends with 2', async (command) => {
    const needed =
      {
        import: ['dir'],
        inspect: ['a.tar.gz'],
        validate: ['a.tar.gz', '--golden', 'a', 'b'],
        bench: ['a.tar.gz'],
        pack: ['dir', '-o', 'a.tar.gz'],
        invoke: ['--target-model', 'a.tar.gz'],
      }[command] ?? [];
    expect(await run(command, ...needed, '--no-such-flag')).toBe(2);
    expect(err).toContain("unknown option '--no-such-flag'");
    expect(out).toBe('');
  });

  it.each([
    ['a command that is none', ['frobnicate']],
    ['an argument too many', ['serve', 'now']],
    ['a missing argument', ['import']],
    ['a missing flag', ['invoke', '--datastore', 'x', '--image-set', 'y']],
    ['a port that is none', ['local', '--port', '70000']],
    ['a port with letters', ['local', '--port', '80a']],
  ])('refuses %s and ends with 2', async (_, args) => {
    expect(await run(...args)).toBe(2);
    expect(err).not.toBe('');
    expect(out).toBe('');
  });

  it('refuses flags that exclude each other, as JSON too when asked', async () => {
    const args = ['invoke', '--target-model', 'a.tar.gz', '--input', 'x', '--datastore', 'd', '--image-set', 'i'];
    expect(await run(...args, '--json')).toBe(2);
    expect(JSON.parse(out)).toEqual({ error: { code: 'usage', message: expect.stringContaining('either') } });
    expect(err).toContain('either --datastore and --image-set, or --input');
  });

  it('refuses an endpoint that is no URL', async () => {
    expect(await run('import', '.', '--endpoint-url', 'localhost:8080')).toBe(2);
    expect(err).toContain('--endpoint-url takes a URL');
  });
});

describe('the terminal', () => {
  const streams = (isTTY: boolean) => {
    const written = { out: '', err: '' };
    return {
      written,
      out: { write: (text: string) => (written.out += text) },
      err: { write: (text: string) => (written.err += text), isTTY },
    };
  };

  it('keeps standard output to JSON with --json', () => {
    const to = streams(false);
    const terminal = createTerminal(true, to);
    terminal.progress('working');
    terminal.line('for people');
    terminal.json({ a: 1 });
    expect(to.written.out).toBe('{"a":1}\n');
    expect(to.written.err).toBe('working\n');
  });

  it('says a state once, in lines, where nobody watches', () => {
    const to = streams(false);
    const terminal = createTerminal(false, to);
    for (const state of ['submitted', 'running', 'running', 'running']) terminal.progress(state);
    expect(to.written.err).toBe('submitted\nrunning\n');
  });

  it('rewrites one line on a terminal and clears it before a result', () => {
    const to = streams(true);
    const terminal = createTerminal(false, to);
    terminal.progress('half');
    terminal.line('done');
    expect(to.written.err).toBe('half\r\u001b[2K');
    expect(to.written.out).toBe('done\n');
  });

  it('sets tables in columns, numbers to the right', () => {
    expect(
      formatTable([
        ['name', 'n'],
        ['spleen', 12],
        ['x', 3],
      ]),
    ).toEqual(['name    n', 'spleen  12', 'x        3']);
  });
});
