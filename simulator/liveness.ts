/** Has the cluster healed, and if not, is it one of the cases that wait for a person. */
import { CLUSTER_TAG } from '../lambdas/model/spec.ts';
import type { Instance } from '../lambdas/model/view.ts';
import type { World } from './world.ts';

/** What is not as it should be; empty when all is well. */
export function unfinished(w: World): readonly string[] {
  const found: string[] = [];
  const live = w.instancesOf().filter((i) => i.state !== 'terminated');
  const serving = live.filter((i) => w.database.serves(i.id)).map((i) => i.id);
  if (serving.length !== w.spec.nodes) found.push(`${serving.length} nodes serve`);
  if (live.length > serving.length)
    found.push(
      `${live
        .filter((i) => !serving.includes(i.id))
        .map((i) => `${i.id} (${i.state})`)
        .join(', ')} left over`,
    );
  const { claim, incident, writer, maintenance } = w.ledger();
  if (claim !== null) found.push(`the claim is held by ${claim.execution}`);
  if (incident !== null) found.push(`incident ${incident.id} is open`);
  if (maintenance !== null) found.push(`${maintenance.node} is in maintenance`);
  const writers = w.routed('writer').filter((id) => !w.isForeign(id));
  if (writers.length !== 1 || writers[0] !== writer || !serving.includes(writer)) {
    found.push(`the writer is ${writer ?? 'nobody'}, routed is ${writers.join(', ') || 'nobody'}`);
  }
  const readers = w.routed('healthy').filter((id) => !w.isForeign(id));
  if (readers.toSorted().join() !== serving.toSorted().join()) found.push(`readers are ${readers.join(', ')}`);
  const address = writer === null ? null : w.addressOf(writer);
  for (const zone of w.aws.zones.values()) {
    for (const [name, r] of zone) if (r.values.join() !== address) found.push(`${name} says ${r.values.join()}`);
  }
  if ([...w.aws.executions.values()].some((e) => e.state === 'RUNNING')) found.push('an execution runs');
  return [...found, ...w.side.unfinished(), ...(w.archive?.unfinished() ?? [])];
}

/** Data volumes of the cluster that nobody uses, and that no record tells people of as left. */
export function leftovers(w: World): readonly string[] {
  const told = [...w.aws.incidents.values()].flatMap((entries) => [...entries.values()].map((e) => e.what));
  return [...w.aws.volumes.values()]
    .filter((v) => v.tags[CLUSTER_TAG] === w.spec.name && v.state === 'available')
    .filter((v) => !told.includes(`leaves the volume ${v.id}`))
    .map((v) => v.id);
}

/** Why a person is needed, when that is legitimate and somebody was told; null otherwise. */
export function strayed(w: World): string | null {
  const told = w.aws.published.map((p) => p.subject).join('\n');
  const present = w.instancesOf().filter((i) => i.state !== 'terminated');
  const idle = present.filter((i) => !w.database.serves(i.id));
  if (w.dataGone) return 'waits for a person: every host with data was lost, restore from a backup';
  if (!w.database.takesWrites()) {
    const { stuck } = w.side;
    return stuck.told.test(told) ? `waits for a person: ${stuck.why}` : null;
  }
  if (idle.length === 0) {
    return present.length > w.spec.nodes
      ? 'waits for a person: a replaced node came back beside its replacement'
      : null;
  }
  if (idle.every((i) => w.startedByHand.has(i.id))) {
    return 'waits for a person: a replaced instance was started again by hand';
  }
  // To retire what it has fenced is the plane's own work.
  const isOurs = (i: Instance): boolean =>
    i.state === 'stopped' && i.launchedAtMs < (w.guard.stoppedAtMs.get(i.id) ?? Number.NEGATIVE_INFINITY);
  const isHandedOver = w.aws.published.some((p) => p.body.includes('could not be retired'));
  if (idle.some(isOurs) && !isHandedOver) return null;
  if (told.includes('REFUSED_LEFT_OVER')) {
    return 'waits for a person: an instance is left over, as people were told';
  }
  const undone = w.aws.published.some((p) => p.body.includes('Left undone') || p.subject.includes('gave up'));
  const aborted = [...w.aws.executions.values()].some((e) => e.state === 'ABORTED');
  if ((undone || aborted) && idle.every((i) => i.state === 'stopped')) {
    return 'waits for a person: a workflow ended before it retired the fenced instance';
  }
  return null;
}
