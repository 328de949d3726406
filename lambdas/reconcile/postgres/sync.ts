/**
 * Keeping `synchronous_standby_names`: who is in the set, and the one next step towards it (docs/postgres.md, "Quorum"). Pure.
 *
 * The ledger's `sets` are all that may be in force or whose commits may not yet lie on the last one's standbys. A step is
 * one of these, and each is made from what the primary showed in this very look:
 *
 * | Last set in the ledger | the primary shows | barrier                        | step                                       |
 * | ---------------------- | ----------------- | ------------------------------ | ------------------------------------------ |
 * | is not the one wanted  |                   |                                | add the wanted one, then set it            |
 * | is                     | another           |                                | add what it shows if unknown, set it again |
 * | is, and not alone      | it                | none                           | note the primary's position as barrier     |
 * | is, and not alone      | it                | flushed by every standby of it | drop the others                            |
 * | is, and not alone      | it                | not yet flushed                | wait                                       |
 * | is, and alone          | it                |                                | none                                       |
 */
import { compareLsn } from '../../model/lsn.ts';
import type { Change } from '../../model/change.ts';
import { declaredNeed, parseSynchronousStandbyNames, synchronousStandbyNames } from '../../model/quorum.ts';
import type { RecoveryMode } from '../../model/ledger.ts';
import type { QuorumSet, SyncState } from '../../model/quorum.ts';
import type { ClusterView, Node } from '../../model/view.ts';
import { isGone } from '../nodes.ts';
import type { Situation } from '../situation.ts';
import { attached, engineOf, hasAnswered, isStreaming } from './status.ts';
import type { AnsweredNode } from './status.ts';

type SetSync = Extract<Change, { readonly kind: 'SetSync' }>;

/** A standby without a stream leaves the set after this long: a reconnection is no loss. */
export const LEAVES_AFTER_MS = 5000;

/** Waits for nobody: in force before a set is, and what is assumed of a setting that is not ours. */
const NOBODY: QuorumSet = { need: 0, standbys: [] };

/** Workflows that are about one replica, and leave the acknowledgements to reconcile. */
const ABOUT_ONE_REPLICA: readonly RecoveryMode[] = ['rejoin', 'replace', 'add', 'roll', 'retire'];

/** Is it reconcile that keeps the acknowledgements now, rather than the workflow that holds the claim. */
export function keepsSync(s: Situation): boolean {
  const { claim } = s.view.ledger;
  return claim === null || (s.claim !== null && ABOUT_ONE_REPLICA.includes(claim.mode));
}

/** How many acknowledgements the specification declares; 0 with `async`. */
export function declared(view: ClusterView): number {
  const { durability, acknowledgements } = engineOf(view);
  return durability === 'quorum' ? declaredNeed(view.spec.nodes, acknowledgements) : 0;
}

/** The set that should be in force: who streams, and who has only just stopped to. */
export function wantedSet(s: Situation, primary: AnsweredNode): QuorumSet {
  const need = declared(s.view);
  if (need === 0) return NOBODY;
  const members = s.view.ledger.sync?.sets.at(-1)?.standbys ?? [];
  const standbys = s.view.nodes
    .filter((n) => n.instance.id !== primary.instance.id)
    .filter((n) => isCounted(s, primary, n, members.includes(n.instance.id)))
    .map((n) => n.instance.id)
    .sort();
  return { need: Math.min(need, standbys.length), standbys };
}

/**
 * The primary's word that it streams outweighs our own failed probe; EC2's word that the host is gone outweighs the primary's,
 * and so does the standby's own that it has had no stream for a while (a sender notices a cut only after
 * `wal_sender_timeout`, and commits would wait for it till then). Without a stream a member is kept for a moment, unless it is known to be lost.
 */
function isCounted(s: Situation, primary: AnsweredNode, node: Node, isMember: boolean): boolean {
  const { id, state } = node.instance;
  if (isGone(node) || state !== 'running' || s.codeOf(id) === 'NODE_FOREIGN_DATA') return false;
  if (isStreaming(primary, id)) return !(isStreamless(s, id) && saysNoStream(node));
  return isMember && !LOST.includes(s.codeOf(id) ?? '') && !isStreamless(s, id);
}

const saysNoStream = (node: Node): boolean =>
  hasAnswered(node) && node.probe.status.inRecovery && node.probe.status.receiver?.status !== 'streaming';

const LOST: readonly string[] = [
  'NODE_CRASHED',
  'NODE_UNRESPONSIVE',
  'NODE_OTHER_PRIMARY',
  'NODE_OLD_TIMELINE',
  'NODE_SLOT_LOST',
];

function isStreamless(s: Situation, id: string): boolean {
  const noted = s.view.ledger.suspicions[id];
  return noted !== undefined && s.view.atMs - noted.sinceMs >= LEAVES_AFTER_MS;
}

/** The next step; null when there is none, or when it has to be waited for. */
export function syncStep(s: Situation, primary: AnsweredNode): SetSync | null {
  const { sync } = s.view.ledger;
  const shown = primary.probe.status.synchronousStandbyNames;
  const wanted = wantedSet(s, primary);
  // Asynchronous, and never anything else: whatever a person has set there is theirs.
  if (sync === null && declared(s.view) === 0) return null;
  const last = sync?.sets.at(-1);
  const text = synchronousStandbyNames(wanted);
  const step = (to: SyncState, setting: SetSync['setting'], reason: string): SetSync => ({
    kind: 'SetSync',
    node: primary.instance.id,
    from: sync,
    to,
    setting,
    reason,
  });
  if (sync === null || last === undefined || !isSame(last, wanted) || shown !== text) {
    const sets = distinct([...(sync?.sets ?? []), inForce(sync, shown), wanted]);
    const setting = shown === text ? null : { from: shown, to: text };
    return step({ sets, barrierLsn: null }, setting, whyWanted(s, wanted));
  }
  if (sync.sets.length === 1) return null;
  if (sync.barrierLsn === null) {
    const why = `${primary.instance.id} waits for ${describe(wanted)}; what it acknowledged before lies before ${primary.probe.status.lsn}`;
    return step({ sets: sync.sets, barrierLsn: primary.probe.status.lsn }, null, why);
  }
  if (!haveFlushed(primary, wanted, sync.barrierLsn)) return null;
  const why = `every standby of ${describe(wanted)} has flushed ${sync.barrierLsn}: earlier sets are of the past`;
  return step({ sets: [wanted], barrierLsn: null }, null, why);
}

/** Is a change of the sets under way, so that it is worth coming back soon. */
export const isSettled = (s: Situation): boolean => (s.view.ledger.sync?.sets.length ?? 1) === 1;

/** What the primary shows, unless the ledger knows it already. What is not ours to read waits for nobody that we know. */
function inForce(sync: SyncState | null, shown: string): QuorumSet {
  const known = sync?.sets.find((set) => synchronousStandbyNames(set) === shown);
  return known ?? parseSynchronousStandbyNames(shown) ?? NOBODY;
}

const haveFlushed = (primary: AnsweredNode, { standbys }: QuorumSet, barrierLsn: string): boolean =>
  standbys.every((id) => {
    const flushed = attached(primary, id)?.flushLsn ?? null;
    return flushed !== null && compareLsn(flushed, barrierLsn) >= 0;
  });

const keyOf = ({ need, standbys }: QuorumSet): string => `${need} ${[...standbys].sort().join(' ')}`;
const isSame = (a: QuorumSet, b: QuorumSet): boolean => keyOf(a) === keyOf(b);

/** Each once, at its last place: the wanted one stays last. */
const distinct = (sets: readonly QuorumSet[]): readonly QuorumSet[] =>
  sets.filter((set, i) => !sets.slice(i + 1).some((later) => isSame(later, set)));

const describe = ({ need, standbys }: QuorumSet): string =>
  need === 0 ? 'nobody' : `any ${need} of ${standbys.join(', ')}`;

function whyWanted(s: Situation, wanted: QuorumSet): string {
  const want = declared(s.view);
  const degraded = wanted.need < want ? `DURABILITY_DEGRADED, ${want} acknowledgements are declared: ` : '';
  return `${degraded}commits are to wait for ${describe(wanted)}: these stream`;
}

/** Why fewer acknowledgements are waited for than declared; null when it is as declared, or about to be for the first time. */
export function degradation(s: Situation, primary: AnsweredNode): string | null {
  const want = declared(s.view);
  const wanted = wantedSet(s, primary);
  const shown = primary.probe.status.synchronousStandbyNames;
  if (wanted.need < want) {
    return `${want} acknowledgements are declared, and ${wanted.need} of the replicas stream: commits wait for ${describe(wanted)}`;
  }
  const set = parseSynchronousStandbyNames(shown);
  if (s.view.ledger.sync === null || set === null || set.need >= want) return null;
  return `${want} acknowledgements are declared, and the primary still waits for ${describe(set)}`;
}
