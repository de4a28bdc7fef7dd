import type { ArchiveLimits } from '../archive/archive-path.ts';
import { parseConfig } from '../config.ts';

const defaults = parseConfig({}, 'serve');

/** What the server takes unless its settings say otherwise. */
export const archiveLimits: ArchiveLimits = {
  maxBytes: defaults.maxArchiveBytes,
  maxEntries: defaults.maxArchiveEntries,
};
