import { defineConfig } from 'vitest/config';

const tier = (name: string, testTimeout: number, maxWorkers?: number) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: Math.max(testTimeout, 60_000),
    ...(maxWorkers ? { maxWorkers, fileParallelism: maxWorkers > 1 } : {}),
  },
});

export default defineConfig({
  test: {
    // Processes and threads run compiled files (Node 20 cannot spawn .ts): dist is built once before any test.
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    projects: [tier('unit', 10_000), tier('integration', 60_000), tier('e2e', 180_000, 1), tier('parity', 600_000, 1)],
  },
});
