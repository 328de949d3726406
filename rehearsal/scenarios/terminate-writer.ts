import { heal } from './healing.ts';
import { both, type Scenario } from './scenario.ts';

export const terminateWriter: Scenario = {
  name: 'terminate-writer',
  summary: 'EC2 terminates the writer',
  promises: both(
    { writeOutageMs: 4000, writeErrors: null, signalToRoutedMs: 3000, launches: 1 },
    // A promotion comes before routing.
    { writeOutageMs: 5000, signalToRoutedMs: 5000 },
  ),
  run: async (world) => {
    const writer = world.writer();
    return heal(world, [writer], () => world.terminate(writer));
  },
};
