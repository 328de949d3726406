/**
 * What is kept right on a PostgreSQL cluster while its primary serves: the acknowledgements, the slots, and whom the replicas
 * follow. Pure. Slots and upstreams are a workflow's own while it holds the claim. The acknowledgements are so only in a
 * failover or switchover: while one replica is brought back, which takes minutes, commits must not wait for another one
 * that is lost meanwhile.
 */
import type { Change } from '../../model/change.ts';
import { compareLsn } from '../../model/lsn.ts';
import { ARCHIVE_SLOT, slotOf } from '../../model/postgres.ts';
import { REPLACES_TAG } from '../../model/spec.ts';
import type { Node } from '../../model/view.ts';
import type { Upkeep, Wait } from '../engine.ts';
import { isGone } from '../nodes.ts';
import { inMaintenance } from '../situation.ts';
import type { Situation } from '../situation.ts';
import { engineOf, hasAnswered, servingPrimary } from './status.ts';
import type { AnsweredNode } from './status.ts';
import { isSettled, keepsSync, syncStep } from './sync.ts';

const NONE: Upkeep = { urgent: [], calm: [], waits: [] };

export function upkeep(s: Situation): Upkeep {
  const primary = servingPrimary(s.view);
  if (primary === null || !keepsSync(s)) return NONE;
  const sync = syncStep(s, primary);
  const waits: Wait[] = [];
  if (sync !== null || !isSettled(s)) waits.push({ seconds: 1, reason: 'the set of synchronous standbys is changing' });
  const urgent = sync === null ? [] : [sync];
  if (s.view.ledger.claim !== null) return { urgent, calm: [], waits };
  const slots = s.view.nodes.filter(hasAnswered).flatMap((n) => slotChange(s, primary, n) ?? []);
  const follows = s.view.nodes.filter(hasAnswered).flatMap((n) => follow(s, primary, n) ?? []);
  const calm = [...slots, ...follows];
  if (calm.length > 0) waits.push({ seconds: 2, reason: 'replicas are being put in order' });
  return { urgent, calm, waits };
}

/**
 * On every node the archive's slot, while an archive is declared: whoever is promoted has what is not archived yet. Beside it,
 * on the primary a slot for each other node of the cluster, and none for those that EC2 has ended, or has forgotten. On a standby none for
 * nodes of ours: left over from when it was the primary, they would hold back its WAL for ever. A slot that is in use, or
 * that is not named like a node that is ours, is left alone (safety rule 8).
 */
function slotChange(s: Situation, primary: AnsweredNode, node: AnsweredNode): Change | null {
  if (s.codeOf(node.instance.id) === 'NODE_FOREIGN_DATA' || inMaintenance(s, node.instance.id)) return null;
  const isThePrimary = node.instance.id === primary.instance.id;
  if (!isThePrimary && !node.probe.status.inRecovery) return null;
  const managed = engineOf(s.view).slots === 'physical';
  const there = new Map(node.probe.status.slots.map((slot) => [slot.name, slot]));
  const others = s.view.nodes.filter((n) => n.instance.id !== node.instance.id);
  const wanted = isThePrimary && managed ? others.filter(isExpected).map((n) => slotOf(n.instance.id)) : [];
  const ended = (isThePrimary ? others.filter(isGone) : managed ? s.view.nodes : []).map((n) => n.instance.id);
  const archived = s.view.spec.archive !== undefined;
  const create = [...wanted, ...(archived ? [ARCHIVE_SLOT] : [])].filter((name) => !there.has(name)).sort();
  const idle = [...ended, ...(managed ? forgottenNodes(s) : [])].map(slotOf);
  const drop = [...idle, ...(archived ? [] : [ARCHIVE_SLOT])]
    .filter((name) => there.get(name)?.active === false)
    .sort();
  if (create.length === 0 && drop.length === 0) return null;
  const reason = [
    ...(create.length > 0 ? [`${slotsFor(create)}: ${create.join(', ')}`] : []),
    ...(drop.length > 0 ? [`${drop.join(', ')} would hold back WAL for nobody`] : []),
  ].join('; ');
  return { kind: 'SetSlots', node: node.instance.id, create, drop, reason };
}

/**
 * EC2 knows nothing of them, and a node of ours stands in their place. Without that nobody can say whose such a slot is: a replica in
 * another region is named like that, too.
 */
const forgottenNodes = ({ view }: Situation): readonly string[] =>
  view.forgotten.filter((id) => view.nodes.some((n) => n.instance.tags[REPLACES_TAG] === id));

const slotsFor = (names: readonly string[]): string =>
  [
    ...(names.some((name) => name !== ARCHIVE_SLOT) ? ['a slot for each replica'] : []),
    ...(names.includes(ARCHIVE_SLOT) ? ['a slot for the archive'] : []),
  ].join(' and ');

/** EC2 has it, or is bringing it: a stopped one keeps the slot that it has, and is given none. */
const isExpected = (n: Node): boolean => n.instance.state === 'running' || n.instance.state === 'pending';

/**
 * A standby that has lost its stream because it is told to follow nobody, or another host. It may be on an earlier timeline:
 * the primary lets it in if it has not passed the point where the two part, and otherwise refuses it, which changes nothing.
 */
function follow(s: Situation, primary: AnsweredNode, node: AnsweredNode): Change | null {
  const { id } = node.instance;
  const { status } = node.probe;
  const theirs = primary.probe.status;
  if (s.codeOf(id) !== 'NODE_NOT_STREAMING' || inMaintenance(s, id)) return null;
  if (status.followsHost === primary.instance.privateIp) return null;
  if (status.timeline === theirs.timeline && compareLsn(status.lsn, theirs.lsn) > 0) return null;
  const reason = `${id} follows ${status.followsHost ?? 'nobody'}, the primary is ${primary.instance.id}`;
  return { kind: 'Follow', node: id, primary: primary.instance.id, reason };
}
