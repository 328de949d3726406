import { defineConfig } from 'vitest/config';
import { PATIENCE } from './test/support/patience.ts';

// `contract`, `nodes` and `cloud` start real servers (moto, MariaDB, HAProxy); the others are pure.
const project = (name: string, timeoutSeconds: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeoutSeconds * 1000,
    hookTimeout: timeoutSeconds * 1000,
  },
});

export default defineConfig({
  test: {
    projects: [
      project('unit', 10),
      project('infra', 120),
      project('contract', 60),
      project('nodes', 180 * PATIENCE),
      project('cloud', 90 * PATIENCE),
    ],
    maxWorkers: 2,
  },
});
