/**
 * Instances whose place is taken, and that no workflow will retire any more (it gave way to a failover, was stopped, gave up). Pure.
 * While the cluster is whole, one that a workflow fenced is retired by a workflow of its own (docs/decisions/0019). Of any other
 * people are told once, and it is theirs: a person has started or stopped it.
 */
import type { Change, Refusal } from '../model/change.ts';
import { isAsFenced } from '../model/fence.ts';
import type { Node } from '../model/view.ts';
import type { Recovery } from './engine.ts';
import { isGone, replacementsOf } from './nodes.ts';
import { NOTHING, merge, startOf } from './recover.ts';
import { inMaintenance, isLost, isPlaceTaken, isServing, nodeOf } from './situation.ts';
import type { Situation } from './situation.ts';

/** EC2 may answer as things were: for so long after the stop `running` says nothing. */
const OLD_ANSWER_MS = 60_000;

const leftOvers = (s: Situation): readonly Node[] =>
  s.view.nodes
    .filter((n) => isLost(s, n.instance.id) && !isGone(n) && s.claim?.node !== n.instance.id)
    .filter((n) => replacementsOf(s.view, n.instance.id).length > 0 || isPlaceTaken(s, n));

/** `before`: what else is recovered. It goes first, and one recovery is started at a time. */
export function leftOver(s: Situation, before: Recovery): Recovery {
  const starts = before.changes.some((c) => c.kind === 'StartRecovery');
  const whole = s.claim === null && !starts && s.view.nodes.filter((n) => isServing(s, n)).length >= s.view.spec.nodes;
  const all = leftOvers(s);
  // Whoever would have retired them may still come to it.
  if (!whole) return { ...NOTHING, refusals: all.map((n) => refuse(s, n, 'REFUSED_SURPLUS')) };
  const found = all.filter((n) => !inMaintenance(s, n.instance.id));
  const held = all.filter((n) => inMaintenance(s, n.instance.id));
  const ours = found.filter((n) => isRetired(s, n));
  const [next, ...later] = ours.filter((n) => n.instance.state === 'stopped');
  const stopping = ours.filter((n) => n.instance.state !== 'stopped');
  return merge(
    next === undefined ? NOTHING : retire(s, next),
    { ...NOTHING, refusals: [...later, ...stopping].map((n) => refuse(s, n, 'REFUSED_SURPLUS')) },
    { ...NOTHING, refusals: held.map((n) => refuse(s, n, 'REFUSED_MAINTENANCE')) },
    stopping.length === 0 ? NOTHING : { ...NOTHING, waits: [{ seconds: 10, reason: 'a fenced node stops' }] },
    ...found.filter((n) => !ours.includes(n)).map((n) => tell(s, n)),
  );
}

/** Safety rule 8: only what Rejoin has stopped itself. */
const isRetired = (s: Situation, { instance }: Node): boolean =>
  s.view.spec.policy === 'HEAL' && isAsFenced(s.view.ledger, instance);

function retire(s: Situation, n: Node): Recovery {
  const { id } = n.instance;
  const reason = `${sentence(s, n)}: a workflow fenced it and did not come to retire it`;
  const subject = subjectOf(s, id, reason);
  if (s.view.brake.engaged) {
    const why = `${reason}; not retired while the fleet brake is engaged: ${s.view.brake.reason ?? 'no reason given'}`;
    return { ...NOTHING, refusals: [{ code: 'REFUSED_BRAKE', node: id, reason: why }], subject };
  }
  return { ...NOTHING, changes: [startOf(s, { node: id, mode: 'retire', reason })], subject };
}

/** An incident is open until they have been told, and not until they have done it: that may take days. */
function tell(s: Situation, n: Node): Recovery {
  const refusal = refuse(s, n, 'REFUSED_LEFT_OVER');
  const told = s.view.ledger.leftOver[n.instance.id] !== undefined;
  return { ...NOTHING, refusals: [refusal], subject: told ? null : subjectOf(s, n.instance.id, refusal.reason) };
}

const subjectOf = (s: Situation, node: string, reason: string): Recovery['subject'] => ({
  node,
  diagnosis: s.codeOf(node) ?? 'NODE_STOPPING',
  reason,
});

const refuse = (s: Situation, n: Node, code: Refusal['code']): Refusal => ({
  code,
  node: n.instance.id,
  reason: `${sentence(s, n)}, and is still there${code === 'REFUSED_LEFT_OVER' ? ': terminate it by hand' : ''}`,
});

function sentence(s: Situation, { instance: { id } }: Node): string {
  const by = replacementsOf(s.view, id).map((r) => r.instance.id);
  const how =
    by.length > 0
      ? `has been replaced by ${by.join(', ')}`
      : `is not needed: ${s.view.spec.nodes} nodes run without it`;
  return `${id} ${how}`;
}

/** What the ledger remembers and what is not so any more. */
export function forgotten(s: Situation): readonly Change[] {
  const { fences, leftOver: told } = s.view.ledger;
  const still = leftOvers(s).map((n) => n.instance.id);
  const forget = (what: 'fence' | 'leftOver', node: string, reason: string): Change => ({
    kind: 'Forget',
    ...{ what, node, reason },
  });
  return [
    ...Object.keys(fences)
      .filter((id) => hasEnded(s, id) || (s.claim === null && runsAgain(s, id)))
      .map((id) => forget('fence', id, `${id} is no fenced instance any more`)),
    ...Object.keys(told)
      .filter((id) => hasEnded(s, id) || (s.claim === null && !still.includes(id)))
      .map((id) => forget('leftOver', id, `${id} is not left over any more`)),
  ];
}

const hasEnded = (s: Situation, id: string): boolean => {
  const node = nodeOf(s, id);
  return node === undefined || isGone(node);
};

function runsAgain({ view }: Situation, id: string): boolean {
  const [instance, fence] = [view.nodes.find((n) => n.instance.id === id)?.instance, view.ledger.fences[id]];
  if (fence === undefined || (instance?.state !== 'running' && instance?.state !== 'pending')) return false;
  return instance.launchedAtMs >= fence.atMs || view.atMs - fence.atMs > OLD_ANSWER_MS;
}
