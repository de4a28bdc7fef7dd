import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Folder of the real series, bundles and judges; it stands beside the checkout and is never copied into it. */
export const sharedDir: string =
  process.env.MAP_ENDPOINT_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url));

/** True when the shared data is here. `.ci/run` refuses to run without it, so a skip can't hide there. */
export const hasShared: boolean = existsSync(sharedDir);

/** Path of a file or folder of the shared data. */
export const shared = (path: string): string => `${sharedDir}/${path}`;
