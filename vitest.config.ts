import { defineConfig } from 'vitest/config';

const oneByOne = { maxWorkers: 1, fileParallelism: false };

const tier = (name: string, testTimeout: number, options: object = {}) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: Math.max(testTimeout, 60_000),
    ...options,
  },
});

export default defineConfig({
  test: {
    // Processes and threads run compiled files (Node 20 cannot spawn .ts): dist is built once before any test.
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    // Unit tests share their process: to import everything anew for each file takes longer than the tests. No module is mocked there.
    projects: [
      tier('unit', 10_000, { isolate: false }),
      tier('integration', 60_000),
      tier('e2e', 180_000, oneByOne),
      tier('parity', 600_000, oneByOne),
    ],
  },
});
