// Makes the CLI executable after a build: tsc writes it without the mode bit.
import { chmodSync, existsSync } from 'node:fs';

const cli = new URL('../dist/cli/map-endpoint.js', import.meta.url);
if (existsSync(cli)) chmodSync(cli, 0o755);
