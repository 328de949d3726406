import { heal } from './healing.ts';
import { both, type Scenario } from './scenario.ts';

export const crashWriter: Scenario = {
  name: 'crash-writer',
  summary: "kill -9 of the writer's process; the instance lives and rejoins",
  promises: both(
    { writeOutageMs: 8000, writeErrors: null, signalToRoutedMs: null, launches: 0 },
    { writeOutageMs: 5000 },
  ),
  run: async (world) => {
    const writer = world.writer();
    return heal(world, [writer], async () => {
      world.timeline.add('fault', `kill -9 of the database of the writer ${writer}`);
      await world.hosts.crash(writer);
    });
  },
};
