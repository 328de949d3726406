/** From which node the log is read, and from where on. Pure. */
import { isShared, type ServerLog, sharedPart } from '../../../engines/galera/binlog/log-state.ts';
import { binlogRuns, joined } from '../../../model/archive/binlog-chain.ts';
import { parseSource } from '../../../model/archive/binlog-source.ts';
import { formatGtidPosition, type GtidPosition, includesPosition } from '../../../model/archive/gtid.ts';
import type { BinlogObject } from '../../../model/archive/keys.ts';

/** A node that answered. */
export interface LogNode<N> {
  readonly node: N;
  readonly instance: string;
  readonly isWriter: boolean;
  readonly log: ServerLog;
}

export type SourceChoice<N> =
  | {
      readonly kind: 'from';
      readonly node: N;
      /** The name of the first object says that it begins after this. */
      readonly after: GtidPosition;
      /** What the node is asked for: the same, but for the domains that are the node's own. */
      readonly ask: GtidPosition;
      /** The archive lacks what lies between this and `after`, and no node has it any more. */
      readonly gapAfter: GtidPosition | null;
    }
  /** Nobody can be asked now; why. */
  | {
      readonly kind: 'none';
      readonly reason: string;
      /** Where the archive ends when all nodes are behind it, and who can say whether they only lag. */
      readonly behind: { readonly node: N; readonly archived: GtidPosition } | null;
    };

/**
 * Where the archive's unbroken stretches end, the earliest first: a shipper that was killed may have stored a later piece and
 * not an earlier one, and whoever goes on from the first of these fills that.
 */
export function endsOf(objects: readonly BinlogObject[]): readonly GtidPosition[] {
  const first = objects.reduce<GtidPosition | null>(
    (earliest, { after }) => (earliest === null || !includesPosition(after, earliest) ? after : earliest),
    null,
  );
  return first === null ? [] : binlogRuns(objects, first).map((run) => run.upTo);
}

/** The instance that the newest object came from. */
function lastInstance(objects: readonly BinlogObject[]): string | null {
  const newest = objects.reduce<BinlogObject | null>(
    (a, b) => (a === null || includesPosition(b.upTo, a.upTo) ? b : a),
    null,
  );
  return newest === null ? null : parseSource(newest.source).instance;
}

/** Synced before donating (its log is late), others before the writer, the same node as before (its files go on) before another. */
const preference = <N>({ instance, isWriter, log }: LogNode<N>, last: string | null): number =>
  (log.state === 'synced' ? 0 : 4) + (isWriter ? 2 : 0) + (instance === last ? 0 : 1);

const hasAfter = ({ log }: LogNode<unknown>, position: GtidPosition): boolean => {
  const shared = sharedPart(log, position);
  return includesPosition(sharedPart(log, log.newest), shared) && includesPosition(shared, sharedPart(log, log.oldest));
};

/** Domains that are the node's own: as far as it was read when it is the same node, from now on when it is another. */
function askFrom(log: ServerLog, position: GtidPosition, sameNode: boolean): GtidPosition {
  const ask = new Map(sharedPart(log, position));
  for (const [domain, newest] of log.newest) {
    if (isShared(log, domain)) continue;
    const read = sameNode ? position.get(domain) : undefined;
    ask.set(domain, read !== undefined && read.sequence < newest.sequence ? read : newest);
  }
  return ask;
}

/**
 * `objects` are the newest of the archive, of the nodes' common history. Answers the node and the earliest position that has
 * to be filled and can be; a gap only when no node has what comes next.
 */
export function chooseSource<N>(nodes: readonly LogNode<N>[], objects: readonly BinlogObject[]): SourceChoice<N> {
  const last = lastInstance(objects);
  const able = nodes
    .filter(({ log }) => log.problem === null && log.state !== 'away')
    .sort((a, b) => preference(a, last) - preference(b, last));
  const best = able[0];
  if (best === undefined) {
    const problem = nodes.find(({ log }) => log.problem !== null)?.log.problem;
    const reason = problem ?? 'no node is synced or donates: there is no log to be read';
    return { kind: 'none', reason, behind: null };
  }
  const from = (found: LogNode<N>, after: GtidPosition, gapAfter: GtidPosition | null): SourceChoice<N> => ({
    ...{ kind: 'from', node: found.node, after, gapAfter },
    ask: askFrom(found.log, after, found.instance === last),
  });
  const ends = endsOf(objects);
  for (const end of ends) {
    const found = able.find((node) => hasAfter(node, end));
    if (found !== undefined) return from(found, end, null);
  }
  const newest = ends.at(-1);
  const earliest = able.reduce((a, b) => (includesPosition(b.log.oldest, a.log.oldest) ? a : b), best);
  if (newest === undefined) return from(earliest, earliest.log.oldest, null);
  const behind = able.every(({ log }) => !includesPosition(sharedPart(log, log.newest), sharedPart(log, newest)));
  if (behind) {
    const positions = able.map((n) => `${n.instance} ${formatGtidPosition(n.log.newest) || 'nothing'}`).join(', ');
    return {
      kind: 'none',
      reason: `the archive has ${formatGtidPosition(newest)}, and no node is so far yet: ${positions}`,
      behind: { node: best.node, archived: newest },
    };
  }
  const ahead = able.filter(({ log }) => includesPosition(sharedPart(log, log.newest), sharedPart(log, newest)));
  const source = ahead.reduce((a, b) => (includesPosition(b.log.oldest, a.log.oldest) ? a : b), ahead[0] ?? best);
  return from(source, joined(newest, source.log.oldest), newest);
}
