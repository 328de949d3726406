import { whole } from './healing.ts';
import { moveFrom } from './switchover.ts';
import { both, type Scenario } from './scenario.ts';

const WITHIN_SECONDS = 90;

export const maintenance: Scenario = {
  name: 'maintenance',
  summary: 'the writer is drained on request and put back (Galera: no failed write)',
  promises: both(
    { writeOutageMs: 1000, writeErrors: 0, signalToRoutedMs: null, launches: 0 },
    { writeOutageMs: 3000, writeErrors: null },
  ),
  run: async (world) => {
    const node = world.writer();
    // PostgreSQL's primary is not drained (maintenance only keeps failover away from it): it is moved away first.
    if (world.engine.kind === 'postgres') await moveFrom(world, node, {});
    const faultAtMs = Date.now();
    world.timeline.add('fault', `an engineer asks for maintenance on the node ${node}`);
    await world.operate({ action: 'maintenance-on', node, by: 'rehearsal' });
    await world.until(
      'the node to be drained',
      (s) =>
        s.writerTargets.some((t) => t.id !== node && t.state === 'healthy') &&
        [...s.writerTargets, ...s.readTargets].every((t) => t.id !== node),
      WITHIN_SECONDS,
    );
    const routedAtMs = Date.now();
    world.timeline.add('check', `${node} takes no connection any more; the engineer works on it`);
    await world.stopDatabase(node);
    await world.startDatabase(node);
    world.timeline.add('fault', `the engineer has restarted the database of ${node} and puts it back`);
    await world.operate({ action: 'maintenance-off', node, by: 'rehearsal' });
    await world.until(`${world.nodeCount} nodes in service again`, whole(world.nodeCount), WITHIN_SECONDS);
    return { faultAtMs, signalAtMs: faultAtMs, routedAtMs, rejoinedAtMs: Date.now() };
  },
};
