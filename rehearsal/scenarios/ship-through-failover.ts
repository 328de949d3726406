import { heal } from './healing.ts';
import { untilShipped } from './restoring.ts';
import { ARCHIVED, both, converges, type Scenario } from './scenario.ts';

export const shipThroughFailover: Scenario = {
  name: 'ship-through-failover',
  summary:
    'the writer, which the log is shipped from, terminates: the archive goes on from another node without a hole',
  promises: both(converges(1)),
  archive: ARCHIVED,
  run: async (world) => {
    const writer = world.writer();
    const measured = await heal(world, [writer], () => world.terminate(writer));
    await untilShipped(world, Date.now());
    world.timeline.add('check', 'what was written after the failover is in the archive');
    return measured;
  },
};
