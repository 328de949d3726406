import { whole } from './healing.ts';
import { both, converges, type Scenario } from './scenario.ts';

const BOOTSTRAP_WITHIN_SECONDS = 240;

export const zoneOutage: Scenario = {
  name: 'zone-outage',
  summary: 'every host loses power at once and boots again: all databases are down',
  promises: both(converges(0)),
  run: async (world) => {
    const all = world.members();
    const faultAtMs = Date.now();
    world.timeline.add('fault', `power lost on all hosts: ${all.join(', ')}; they boot again, the databases are down`);
    await world.hosts.powerLoss(all);
    await world.until('the databases to be down', (s) => s.nodes.every((n) => !n.synced), 30);
    await world.until('writes to be possible again', (s) => s.nodes.some((n) => n.synced), BOOTSTRAP_WITHIN_SECONDS);
    world.timeline.add('check', 'a node takes writes again');
    await world.until(
      `${world.nodeCount} nodes synced, routed to and nothing under way`,
      whole(world.nodeCount),
      BOOTSTRAP_WITHIN_SECONDS,
    );
    return {
      faultAtMs,
      signalAtMs: world.firstSignalAfter(faultAtMs, all),
      routedAtMs: null,
      rejoinedAtMs: Date.now(),
    };
  },
};
