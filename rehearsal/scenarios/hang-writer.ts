import { heal } from './healing.ts';
import { both, type Scenario } from './scenario.ts';

export const hangWriter: Scenario = {
  name: 'hang-writer',
  summary: "the writer's process is frozen (SIGSTOP); EC2 still says running and TCP still connects",
  promises: both(
    { writeOutageMs: 10_000, writeErrors: null, signalToRoutedMs: null, launches: 1 },
    { writeOutageMs: 5000 },
  ),
  run: async (world) => {
    const writer = world.writer();
    return heal(world, [writer], async () => {
      world.timeline.add('fault', `SIGSTOP to the database of the writer ${writer}`);
      await world.hosts.freeze(writer);
    });
  },
};
