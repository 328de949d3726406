/**
 * Before an incident is closed: the data volumes that nobody uses. A replacement tells of them as it ends, but not every one comes to
 * that: people stop workflows, the brake does, a failover takes their place; and a bootstrap gives nodes up.
 */
import type { ClusterView } from '../model/view.ts';
import { leavesVolume, unusedVolumes, whyLeft } from '../model/volume.ts';
import type { Volume } from '../model/volume.ts';
import type { ReconcilePorts } from './ports.ts';

/**
 * Tells people of those that the incident's record does not name yet, in one message, and puts them there.
 * @throws CloudUnavailable: the incident stays open, and another look tells.
 */
export async function tellOfVolumes(view: ClusterView, incident: string, ports: ReconcilePorts): Promise<void> {
  const cluster = view.spec.name;
  const left = leftIn(view, await ports.volumes.ofCluster(cluster));
  if (left.length === 0) return;
  const told = (await ports.ledger.incident(cluster, incident)).map((e) => e.what);
  const untold = left.filter(({ id }) => !told.includes(leavesVolume(id)));
  if (untold.length === 0) return;
  const lines = untold.map((v) => `${v.id}: ${whyLeft(v)}`);
  const body = [...lines, `Incident ${incident}.`, 'Runbook: docs/runbook.md#volumes-left'];
  await ports.notifications.publish(`${cluster}: data volumes are left over`, body.join('\n'));
  // After the message: killed between the two, it is told twice rather than never.
  for (const volume of untold) {
    const entry = { atMs: ports.clock.nowMs(), who: 'reconcile', what: leavesVolume(volume.id), why: whyLeft(volume) };
    await ports.ledger.record(cluster, incident, `unused-${volume.id}`, entry);
  }
}

/** What an instance has that is just ending is left in a moment. */
function leftIn({ spec, nodes }: ClusterView, volumes: readonly Volume[]): readonly Volume[] {
  const ending = nodes.filter((n) => n.instance.state === 'shutting-down').map((n) => n.instance.id);
  const freed = volumes.map((v): Volume => {
    const isEnding = v.attachedTo !== null && ending.includes(v.attachedTo);
    return isEnding ? { ...v, state: 'available', attachedTo: null } : v;
  });
  return unusedVolumes(freed, spec.name);
}
