import { setTimeout as sleep } from 'node:timers/promises';
import { heal } from './healing.ts';
import { both, converges, type Scenario } from './scenario.ts';

const APART_MS = 700;

export const twoOfThree: Scenario = {
  name: 'two-of-three',
  summary: 'two nodes, the writer among them, terminate within a second',
  promises: both(converges(2)),
  run: async (world) => {
    const lost = [world.writer(), world.otherThanWriter()[0]];
    return heal(world, lost, async () => {
      for (const [i, node] of lost.entries()) {
        if (i > 0) await sleep(APART_MS);
        await world.terminate(node);
      }
    });
  },
};
