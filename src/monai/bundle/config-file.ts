import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { EndpointError } from '../../errors.ts';
import type { ConfigNode } from './config-value.ts';
import { unsupported } from './unsupported.ts';

const maxFileBytes = 4 * 1024 * 1024;
const maxDepth = 64;
const maxNodes = 200_000;

/** Reads the first of the files that exists, as JSON or YAML by its ending; `undefined` when none does. */
export async function readFirstOf(
  dir: string,
  files: readonly string[],
): Promise<{ readonly file: string; readonly root: ConfigNode } | undefined> {
  for (const file of files) {
    const text = await readBounded(join(dir, file), file);
    if (text !== undefined) return { file, root: parseConfig(text, file) };
  }
  return undefined;
}

async function readBounded(path: string, file: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw unsupported(`The file is larger than ${maxFileBytes} bytes.`, { file, place: '' });
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (thrown) {
    if (thrown instanceof EndpointError) throw thrown;
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new EndpointError('unsupported_bundle', `${file} cannot be read as UTF-8 text.`, { cause: thrown });
  }
}

/** Parses the text of a configuration; YAML aliases may not multiply without bound. */
export function parseConfig(text: string, file: string): ConfigNode {
  let content: unknown;
  try {
    if (file.endsWith('.json')) content = JSON.parse(text);
    else {
      const document = parseDocument(text, { schema: 'core', version: '1.1', merge: true, stringKeys: true });
      if (document.errors.length > 0) throw document.errors[0];
      content = document.toJS({ maxAliasCount: 100, mapAsMap: true });
    }
  } catch (cause) {
    const kind = file.endsWith('.json') ? 'JSON' : 'YAML';
    throw new EndpointError('unsupported_bundle', `${file} is not valid ${kind}.`, { cause, details: { file } });
  }
  const budget = { left: maxNodes };
  const root = toNode(content, file, 0, budget);
  if (!(root instanceof Map)) throw unsupported('The document must be a dictionary.', { file, place: '' });
  return root;
}

function toNode(value: unknown, file: string, depth: number, budget: { left: number }): ConfigNode {
  if (depth > maxDepth) throw unsupported(`Nested deeper than ${maxDepth}.`, { file, place: '' });
  if (--budget.left < 0) throw unsupported(`More than ${maxNodes} values.`, { file, place: '' });
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string')
    return value;
  if (Array.isArray(value)) return value.map((child) => toNode(child, file, depth + 1, budget));
  const entries = value instanceof Map ? value : new Map(Object.entries(value as object));
  return new Map([...entries].map(([key, child]) => [String(key), toNode(child, file, depth + 1, budget)]));
}
