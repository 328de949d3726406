/** What the runbook has a person do about a Galera cluster that has lost its quorum. */
import { REPLACES_TAG } from '../../lambdas/model/spec.ts';
import type { World } from '../world.ts';
import type { GaleraModel } from './cluster.ts';

/** Stops what is left outside a primary component, starts hosts, and bootstraps without the nodes that are gone. */
export function restoreQuorum(w: World, model: GaleraModel): void {
  if (model.components().some((c) => c.primary)) return;
  const live = w.instancesOf().filter((i) => i.state !== 'terminated' && i.state !== 'shutting-down');
  for (const i of live) {
    if (i.state === 'stopped') {
      w.setState(i.id, 'running');
      w.startedByHand.add(i.id);
    }
    model.stop(i.id);
  }
  if (live.some((i) => i.state !== 'running')) return;
  const positions = live.flatMap((i) => model.data(i.id) ?? []);
  const newest = positions.toSorted((a, b) => b.seqno - a.seqno)[0];
  if (newest === undefined) {
    w.story.tell('person', 'finds no data on any host: restores from a backup');
    w.dataGone = true;
    return;
  }
  const places = live.filter((i) => !live.some((o) => o.tags[REPLACES_TAG] === i.id));
  const missing = w.spec.nodes - places.length;
  // Its place is filled by a node that it had replaced: the workflow names it.
  const { writer } = w.ledger();
  const gone = missing <= 0 && writer !== null && !live.some((i) => i.id === writer) ? [writer] : [];
  const giveUp = [...gone, ...Array.from({ length: Math.max(0, missing) }, (_, i) => `missing node ${i + 1}`)];
  if (model.lacks(newest) !== null && giveUp.length > 0) model.forgive(newest);
  const name = `manual-${w.aws.nextNumber()}`;
  const input = {
    cluster: w.spec.name,
    incident: name,
    mode: 'bootstrap',
    node: null,
    reason: 'by the runbook',
    giveUp,
  } as const;
  w.story.tell('person', `starts the bootstrap ${name}, giving up ${giveUp.join(', ') || 'nobody'}`);
  void w.cloud.workflows.start(name, input).then((arn) => w.functions.begin(arn));
}
