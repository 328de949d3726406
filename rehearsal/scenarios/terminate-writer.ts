import { heal } from './healing.ts';
import type { Scenario } from './scenario.ts';

export const terminateWriter: Scenario = {
  name: 'terminate-writer',
  summary: 'EC2 terminates the writer',
  limits: { writeOutageMs: 4000, writeErrors: null, signalToRoutedMs: 3000, launches: 1 },
  run: async (world) => {
    const writer = world.writer();
    return heal(world, [writer], () => world.terminate(writer));
  },
};
