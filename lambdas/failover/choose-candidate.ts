/** Who is to be the primary (safety rule 4): pure. */
import type { PrimaryPosition } from '../model/ledger.ts';
import type { Position } from '../model/lsn.ts';
import { comparePosition, lagBytes } from '../model/lsn.ts';
import type { QuorumSet, SyncState } from '../model/quorum.ts';
import { mustCover } from '../model/quorum.ts';
import type { PostgresEngine } from '../model/spec.ts';
import type { Told } from './state.ts';

export interface Contest {
  readonly cluster: string;
  /** Positions of standbys that are here and detached, told after the fence began. */
  readonly told: Readonly<Record<string, Told>>;
  /** Of standbys that were detached and have been lost since. */
  readonly remembered: Readonly<Record<string, Told>>;
  /** The lost primary, and the instance that has its volume now. */
  readonly old: string | null;
  readonly revived: string | null;
  readonly sync: SyncState | null;
  readonly engine: Pick<PostgresEngine, 'durability' | 'maxLagBytes'>;
  /** Where the primary was when it was last seen. */
  readonly position: PrimaryPosition | null;
  readonly accept: string | null;
  readonly maintenance: string | null;
}

export type Choice =
  | {
      readonly kind: 'candidate';
      readonly node: string;
      readonly why: string;
      readonly loss: 'none' | 'bounded' | 'accepted';
    }
  | { readonly kind: 'nobody'; readonly why: string };

/**
 * The most advanced of those that are here, by timeline, then LSN; a tie goes to one that was not the primary (nothing has
 * to be rewound, and it has not just failed), then to the lower id. It may be promoted when
 *
 *   it has all that the lost primary has, by that one's own word        nothing is lost
 *   quorum: of every set, n − k + 1 told a position that it has reached nothing acknowledged is lost: any k overlap with those
 *   async: it lacks at most maxLagBytes of what is known to be there    what the declaration allows
 *   a person accepted it                                               a node that was named, and no other
 *
 * With quorum a measured lag is no excuse: what was acknowledged is there, or a person says that it may be lost.
 */
export function chooseCandidate(contest: Contest): Choice {
  const told = ofOneDatabase(contest);
  const sorted = Object.entries(told)
    .filter(([id]) => id !== contest.maintenance)
    .map(([id, at]) => ({ id, at }))
    .toSorted(
      (a, b) => comparePosition(b.at, a.at) || rank(a.id, contest) - rank(b.id, contest) || (a.id < b.id ? -1 : 1),
    );
  const best = sorted[0];
  if (best === undefined) return nobody(contest, told, 'no standby has told its position');
  const node = best.id;
  const complete = completeness({ ...contest, told }, best.at);
  if (complete !== null) return { kind: 'candidate', node, loss: 'none', why: `${inWords(best.at)}; ${complete}` };
  const lag = contest.engine.durability === 'async' ? lagOf(knownOf(contest), best.at) : null;
  if (lag !== null && lag <= contest.engine.maxLagBytes) {
    const allowed = `${contest.engine.maxLagBytes} allowed`;
    const after = `and whatever ${contest.old ?? 'the primary'} acknowledged after that and ${node} has not`;
    const why = `${inWords(best.at)}; ${lag} bytes of the position last seen are missing (${allowed}), ${after}`;
    return { kind: 'candidate', node, loss: 'bounded', why };
  }
  const accepted = sorted.find((s) => s.id === contest.accept);
  if (accepted !== undefined) {
    const why = `${inWords(accepted.at)}; a person accepted what is lost: ${whatLacks(contest, best.at, lag)}`;
    return { kind: 'candidate', node: accepted.id, loss: 'accepted', why };
  }
  return nobody(contest, told, whatLacks(contest, best.at, lag));
}

const rank = (id: string, { old }: Contest): number => (id === old ? 1 : 0);

const inWords = ({ timeline, lsn }: Position): string => `timeline ${timeline} at ${lsn}`;

/** Why nothing acknowledged can be missing at `at`; null when it can. */
function completeness({ told, remembered, old, revived, sync, engine }: Contest, at: Position): string | null {
  const own = (old === null ? undefined : told[old]) ?? (revived === null ? undefined : told[revived]);
  if (own !== undefined && comparePosition(own, at) <= 0)
    return 'that is all that the lost primary has, by its own word';
  if (engine.durability !== 'quorum' || sync === null) return null;
  const reached = (id: string): boolean => {
    const theirs = told[id] ?? remembered[id];
    return theirs !== undefined && comparePosition(theirs, at) <= 0;
  };
  const shown = (set: QuorumSet): boolean => set.need > 0 && set.standbys.filter(reached).length >= mustCover(set);
  return sync.sets.every(shown)
    ? 'nothing acknowledged can be missing: enough of the quorum have told no later position'
    : null;
}

/**
 * How far the log of the lost primary is known to go; null when nobody has seen it as the primary: what another one had before it says
 * nothing of what it acknowledged. A candidate that was given up told its own position when it was cut off; that and those before it count
 * as much as what was seen from outside.
 */
function knownOf({ position, remembered, old }: Contest): Position | null {
  if (position === null || (position.node !== old && remembered[old ?? ''] === undefined)) return null;
  return [position, ...Object.values(remembered)].reduce((a, b) => (comparePosition(b, a) > 0 ? b : a));
}

/**
 * Bytes behind what is known to be there; null when it cannot be measured. Who is on a later timeline than the primary was seen on followed it there, and
 * nobody has seen what it acknowledged since.
 */
function lagOf(position: Position | null, at: Position): number | null {
  return position === null || at.timeline !== position.timeline ? null : lagBytes(position.lsn, at.lsn);
}

function whatLacks(contest: Contest, best: Position, lag: number | null): string {
  const { engine, sync, remembered, position, old } = contest;
  if (engine.durability === 'async') {
    if (lag !== null)
      return `${lag} bytes of the position last seen are missing, expected at most ${engine.maxLagBytes}`;
    if (position === null) return 'the position of the primary was never seen, so that the lag cannot be measured';
    const known = knownOf(contest);
    if (known === null)
      return `${old ?? 'the primary'} was never seen as the primary, ${position.node} was the last one, so that the lag cannot be measured`;
    return `the best is on timeline ${best.timeline}, and the primary was seen on ${known.timeline}, so that the lag cannot be measured`;
  }
  const ahead = Object.entries(remembered).filter(([, at]) => comparePosition(at, best) > 0);
  if (ahead.length > 0) return `${ahead.map(([id, at]) => `${id} had ${inWords(at)}`).join(', ')} and is lost`;
  if (sync === null) return 'the ledger knows of no quorum, so that acknowledged writes may be missing';
  const need = sync.sets.map((s) =>
    s.need === 0 ? 'the lost primary itself (it waited for nobody)' : `${mustCover(s)} of ${s.standbys.join(', ')}`,
  );
  return `acknowledged writes may be missing: expected positions of ${need.join(' and of ')}`;
}

/** Nodes of another database are not in the contest: what most of them have is this one. */
function ofOneDatabase({ told, sync }: Contest): Readonly<Record<string, Told>> {
  const known = new Set(sync?.sets.flatMap((s) => s.standbys) ?? []);
  const votes = new Map<string, number>();
  for (const [id, { systemId }] of Object.entries(told)) {
    votes.set(systemId, (votes.get(systemId) ?? 0) + (known.has(id) ? 100 : 1));
  }
  const [first, second] = [...votes].toSorted(([, a], [, b]) => b - a);
  if (first === undefined || first[1] === second?.[1]) return {};
  return Object.fromEntries(Object.entries(told).filter(([, t]) => t.systemId === first[0]));
}

function nobody({ cluster, told, accept }: Contest, fit: Readonly<Record<string, Told>>, why: string): Choice {
  const all = Object.entries(told).map(
    ([id, at]) => `${id}: ${inWords(at)}${fit[id] === undefined ? ', of another database' : ''}`,
  );
  const asked =
    accept === null || told[accept] !== undefined
      ? ''
      : ` ${accept}, which a person accepted, does not answer as a standby.`;
  const example = JSON.stringify({ action: 'accept-loss', cluster, node: 'i-…', by: 'your name' });
  return {
    kind: 'nobody',
    why:
      `${why}. Positions: ${all.join('; ') || 'none'}.${asked} Bring a node back that has the rest, or accept the loss: ` +
      `invoke the operate function with ${example}`,
  };
}
