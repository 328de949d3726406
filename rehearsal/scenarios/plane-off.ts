import { setTimeout as sleep } from 'node:timers/promises';
import { heal, whole } from './healing.ts';
import { both, type Scenario } from './scenario.ts';

/** Long enough for the balancer's own health checks to notice, and for a plane to have acted if one had lived. */
const WITHOUT_PLANE_MS = 25_000;

export const planeOff: Scenario = {
  name: 'plane-off',
  summary: 'every Lambda is disabled while a node dies: serving goes on; enabled again, it heals',
  promises: both({ writeOutageMs: 1000, writeErrors: 0, signalToRoutedMs: null, launches: 1 }),
  run: async (world) => {
    const node = world.otherThanWriter()[0];
    world.timeline.add('fault', 'every Lambda of the control plane is disabled');
    world.cloud.lambdas.disableAll();
    await world.terminate(node);
    await world.until(
      "the balancer's own health checks to take the node out",
      (s) => s.readTargets.every((t) => t.id !== node || t.state !== 'healthy'),
      60,
    );
    await sleep(WITHOUT_PLANE_MS);
    const served = world.client.figures();
    world.timeline.add(
      'check',
      `serving went on without the plane: ${served.writesAcknowledged} writes acknowledged, ${served.writeErrors} failed`,
    );
    if (whole(world.nodeCount)(world.state()))
      throw new Error('the cluster healed with every Lambda disabled: the scenario shows nothing');
    return heal(world, [node], async () => {
      world.timeline.add('fault', 'the control plane is enabled again');
      world.cloud.lambdas.enableAll();
    });
  },
};
