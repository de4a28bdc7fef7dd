import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { onnxModel } from './onnx-bytes.ts';

/** One entry of a tar file that is written by hand, so that it can be as wrong as it likes. */
export interface TarEntry {
  readonly path: string | Buffer;
  readonly data?: Buffer | string;
  /** Type flag: '0' file, '1' hard link, '2' symbolic link, '3' and '4' devices, '5' folder, '6' FIFO. */
  readonly type?: string;
  readonly mode?: number;
  readonly linkPath?: string;
  /** What the header says of the size, when it lies. */
  readonly claimedSize?: number;
}

function header(entry: TarEntry, size: number): Buffer {
  const block = Buffer.alloc(512);
  Buffer.from(entry.path as string).copy(block, 0, 0, 100);
  const octal = (value: number, at: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  };
  octal(entry.mode ?? 0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.claimedSize ?? size, 124, 12);
  octal(0, 136, 12);
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(entry.type ?? '0', 156, 'latin1');
  block.write(entry.linkPath ?? '', 157, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** A tar file with its end mark. */
export function tarBytes(entries: readonly TarEntry[], end = true): Buffer {
  const blocks = entries.flatMap((entry) => {
    const data = Buffer.from((entry.data ?? '') as string);
    return [header(entry, data.length), data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, ...(end ? [Buffer.alloc(1024)] : [])]);
}

export const tarGz = (entries: readonly TarEntry[]): Buffer => gzipSync(tarBytes(entries));

/** The files of a bundle that loads: its network gives back what it gets. */
export function bundleFiles(version = '1.0.0'): Record<string, Buffer> {
  const metadata = { name: 'identity', version, network_data_format: { inputs: {}, outputs: {} } };
  return {
    'configs/inference.json': Buffer.from('{"inferer": {"_target_": "SimpleInferer"}}'),
    'configs/metadata.json': Buffer.from(JSON.stringify(metadata)),
    'models/model.onnx': onnxModel(),
  };
}

export const entriesOf = (files: Readonly<Record<string, Buffer>>, prefix = ''): TarEntry[] =>
  Object.entries(files).map(([path, data]) => ({ path: prefix + path, data }));

/** Writes files under a folder. */
export function writeTree(dir: string, files: Readonly<Record<string, Buffer>>): void {
  for (const [path, data] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), data);
  }
}
