import { heal } from './healing.ts';
import { both, converges, type Scenario } from './scenario.ts';

export const lostEvents: Scenario = {
  name: 'lost-events',
  summary: 'EventBridge delivers nothing while the writer terminates; the sweep alone heals',
  promises: both(converges(1)),
  run: async (world) => {
    const writer = world.writer();
    world.timeline.add('fault', 'EventBridge delivers nothing from now on');
    world.cloud.events.setMode('drop');
    return heal(world, [writer], () => world.terminate(writer));
  },
};
