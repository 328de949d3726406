import { heal } from './healing.ts';
import { both, type Scenario } from './scenario.ts';

export const terminateNode: Scenario = {
  name: 'terminate-node',
  summary: 'EC2 terminates a node that is not the writer: clean shutdown, then the power goes (default)',
  promises: both({ writeOutageMs: 1000, writeErrors: 0, signalToRoutedMs: 3000, launches: 1 }),
  run: async (world) => {
    const node = world.otherThanWriter()[0];
    return heal(world, [node], () => world.terminate(node));
  },
};
