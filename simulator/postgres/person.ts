/** What the runbook has a person do about a PostgreSQL cluster that has nobody to promote. */
import { comparePosition } from '../../lambdas/model/lsn.ts';
import { positionOf } from '../../test/fakes/postgres-cluster.ts';
import type { World } from '../world.ts';
import type { SimPostgres } from './cluster.ts';

/** Stops a host whose primary hangs unseen; starts stopped hosts; then, when the failover finds nobody still, accepts the loss with the most advanced node that is left. */
export function restoreWrites(w: World, pg: SimPostgres): void {
  if (pg.takesWrites()) return;
  const { writer } = w.ledger();
  if (writer !== null && pg.servers.get(writer)?.process === 'frozen' && w.hostRuns(writer)) {
    w.story.tell('person', `stops ${writer}, whose database hangs`);
    void w.cloud.instances.stop(writer);
    return;
  }
  const live = w.instancesOf().filter((i) => i.state !== 'terminated' && i.state !== 'shutting-down');
  const stopped = live.filter((i) => i.state === 'stopped');
  for (const i of stopped) {
    w.setState(i.id, 'running');
    w.startedByHand.add(i.id);
    w.story.tell('person', `starts ${i.id} again`);
  }
  if (stopped.length > 0 || live.some((i) => i.state !== 'running')) return;
  const held = live.flatMap(({ id }) => {
    const { disk, seedingUntilMs } = pg.server(id);
    return disk === null || seedingUntilMs !== null ? [] : [{ id, at: positionOf(disk) }];
  });
  const best = held.toSorted((a, b) => comparePosition(b.at, a.at) || (a.id < b.id ? -1 : 1))[0];
  if (best === undefined) {
    w.story.tell('person', 'finds no data on any host: restores from the archive');
    w.dataGone = true;
    return;
  }
  w.story.tell('person', `accepts the loss with ${best.id}`);
  const { escalation } = w.ledger();
  const request = { action: 'accept-loss', cluster: w.spec.name, node: best.id, by: 'sim' };
  void w.functions.operate(request).then(() => {
    if (escalation !== null) return w.functions.operate({ action: 'acknowledge', cluster: w.spec.name, by: 'sim' });
    return undefined;
  });
}
