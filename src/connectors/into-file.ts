import { createWriteStream, type WriteStream } from 'node:fs';

/**
 * Writes a file by a stream. Settles only when the file is closed: one that is still being opened when the writing fails
 * would come into being after whoever cleans up has removed it.
 *
 * @param write - pipes into the stream
 */
export async function intoFile(
  path: string,
  options: { readonly flags?: 'w' | 'wx'; readonly mode?: number },
  write: (file: WriteStream) => Promise<void>,
): Promise<void> {
  const file = createWriteStream(path, options);
  const closed = new Promise<void>((resolve) => file.once('close', resolve));
  try {
    await write(file);
  } finally {
    file.destroy();
    await closed;
  }
}
