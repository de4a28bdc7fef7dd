/**
 * URL of the compiled file of an entry module (worker thread, session child, pipeline process).
 *
 * Node 20 cannot spawn a `.ts` file, so when the caller itself runs from `src` (tests, tsx) the entry is taken from
 * `dist`, which the test set-up has built.
 *
 * @param importMetaUrl - `import.meta.url` of the caller
 * @param relative - path of the entry relative to the caller, with its `.ts` ending
 */
export function compiledUrl(importMetaUrl: string, relative: string): URL {
  const url = new URL(relative, importMetaUrl);
  if (!importMetaUrl.endsWith('.ts')) {
    return new URL(url.href.replace(/\.ts$/, '.js'));
  }
  const at = url.href.lastIndexOf('/src/');
  return new URL(`${url.href.slice(0, at)}/dist/${url.href.slice(at + 5)}`.replace(/\.ts$/, '.js'));
}
