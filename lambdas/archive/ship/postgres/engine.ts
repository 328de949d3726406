/**
 * Ships PostgreSQL's log: from the writer, or while it does not answer from the most advanced standby; from the end of the archive
 * along the timelines, the rest of the old one first. Everything is looked up anew at each go, so that a go may end anywhere.
 */
import type { DbCredentials } from '../../../cloud/ports.ts';
import { StatementRefused } from '../../../engines/postgres/connection.ts';
import type { ReplicationSession, ServerIdentity } from '../../../engines/postgres/replication.ts';
import type { ArchivePlace } from '../../../model/archive/keys.ts';
import { lsnOfBytes } from '../../../model/archive/keys.ts';
import { timelineAt, timelinePath } from '../../../model/archive/timeline.ts';
import type { TimelinePath } from '../../../model/archive/timeline.ts';
import type { Position } from '../../../model/lsn.ts';
import { lsnBytes } from '../../../model/lsn.ts';
import { ARCHIVE_SLOT } from '../../../model/postgres.ts';
import type { ShipEnd, ShipEngine, ShipRun } from '../run.ts';
import { borderBefore, borderBytes } from './cutter.ts';
import { LostSlots } from './lost-slots.ts';
import { isCurrent, runningNodes } from './nodes.ts';
import { Patience } from './patience.ts';
import type { PostgresShipPorts } from './ports.ts';
import { putHistories, resumeFrom } from './resume.ts';
import { SegmentMemory } from './segment-memory.ts';
import { Session } from './session.ts';
import { keepSlot, SlotKeeper } from './slots.ts';
import type { AnsweringNode } from './source.ts';
import { isWriter, sources } from './source.ts';

/** Where a go begins. */
interface Beginning {
  readonly node: AnsweringNode;
  readonly replication: ReplicationSession;
  readonly identity: ServerIdentity;
  readonly place: ArchivePlace;
  readonly path: TimelinePath;
  readonly position: Position;
}

const SLOT_IN_USE = '55006';
const WAL_REMOVED = '58P01';
const LOOK_AGAIN_MS = 1000;

const again = (why: string, pauseMs = LOOK_AGAIN_MS): ShipEnd => ({ kind: 'again', why, pauseMs });

export function postgresShipEngine(ports: PostgresShipPorts): ShipEngine {
  const lostSlots = new LostSlots();
  const patience = new Patience(ports.clock);
  return {
    kind: 'postgres',
    async ship(run) {
      const { spec } = run;
      const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
      const { cluster: ledger } = await ports.ledger.read(spec.name);
      const { answering, silent } = await runningNodes(ports, spec, credentials);
      const nodes = sources(answering, ledger.writer);
      if (nodes.length === 0) return again('no node answers');
      lostSlots.look(run, nodes);
      const found = await fromSomeNode(run, ports, credentials, {
        ...{ nodes, silent, lostSlots, patience },
        writer: ledger.writer,
      });
      if ('kind' in found) return found;
      const lost = found;
      // No node has what follows the archive: a gap. What there is from now on is archived; a base backup makes it useful.
      // Unless it was counted when the slot said so.
      if (!lostSlots.has(spec.name, lost.node.target.instanceId))
        run.metrics.count('ArchiveGap', 1, { cluster: spec.name });
      run.log.error('a part of the log is lost to the archive: take a base backup (docs/runbook.md)', {
        ...{ cluster: spec.name, node: lost.node.target.instanceId },
        error: lost.error,
      });
      const from = { node: lost.node, lostSlots, writer: ledger.writer };
      return shipFrom(run, ports, credentials, { ...from, way: 'earliest' });
    },
  };
}

interface Sources extends Pick<From, 'writer' | 'lostSlots'> {
  readonly nodes: readonly AnsweringNode[];
  /** May have what none of those has. */
  readonly silent: readonly string[];
  readonly patience: Patience;
}

interface Lost {
  readonly node: AnsweringNode;
  readonly error: StatementRefused;
}

/**
 * From the first of the nodes that has what follows the archive's first hole; when none has, the next hole, and at last the archive's
 * end. Answers the first node's refusal when none has that either.
 */
async function fromSomeNode(
  run: ShipRun,
  ports: PostgresShipPorts,
  credentials: DbCredentials,
  { nodes, silent, patience, ...from }: Sources,
): Promise<ShipEnd | Lost> {
  for (let way = 0; ; way += 1) {
    let lost: Lost | null = null;
    let ways = 0;
    for (const node of nodes) {
      try {
        const there = (count: number): void => void (ways = Math.max(ways, count));
        const end = await shipFrom(run, ports, credentials, { ...from, node, way, there });
        patience.end(run.spec.name);
        return end;
      } catch (error) {
        if (!(error instanceof StatementRefused)) throw error;
        if (error.sqlState === SLOT_IN_USE) return again(`${node.target.instanceId}: ${error.message}`);
        if (error.sqlState !== WAL_REMOVED) throw error;
        lost ??= { node, error };
        run.log.warn('a node has not the log any more that follows the archive', {
          ...{ cluster: run.spec.name, node: node.target.instanceId },
          error,
        });
      }
    }
    if (lost === null) return again('no node answers');
    if (silent.length > 0 && patience.lasts(run.spec.name))
      return again(`${silent.join(', ')} may have the log that follows the archive, and does not answer`);
    if (way + 1 >= ways) return lost;
  }
}

interface From {
  readonly node: AnsweringNode;
  readonly writer: string | null;
  readonly lostSlots: LostSlots;
  /** Which of the places to ship from (`Ways`); `earliest`: none of them, but where the node keeps its log. */
  readonly way: number | 'earliest';
  /** Is told how many there are. */
  readonly there?: (ways: number) => void;
}

async function shipFrom(
  run: ShipRun,
  ports: PostgresShipPorts,
  credentials: DbCredentials,
  from: From,
): Promise<ShipEnd> {
  const replication = await ports.replicate(from.node.target, credentials, ARCHIVE_SLOT);
  try {
    const beginning = await begin(run, ports, credentials, { ...from, replication });
    return await streamFrom(run, ports, credentials, from, beginning);
  } finally {
    replication.end('this go is over');
  }
}

/** Looks where the archive ends, and makes ready: the slot is there, and so are the histories of the timelines. */
async function begin(
  run: ShipRun,
  ports: PostgresShipPorts,
  credentials: DbCredentials,
  { node, replication, way, there }: From & { readonly replication: ReplicationSession },
): Promise<Beginning> {
  const { spec } = run;
  const identity = await replication.identify();
  const kept = await keepSlot(ports.admin, node, credentials, replication);
  const history = identity.timeline === 1 ? null : await replication.timelineHistory(identity.timeline);
  const path = timelinePath(identity.timeline, history);
  const place = { cluster: spec.name, history: identity.systemId };
  await putHistories(ports.bucket, place, path, (timeline) => replication.timelineHistory(timeline));
  const border = borderBytes(identity.segmentBytes);
  const earliest = lsnOfBytes(borderBefore(lsnBytes(kept), border));
  if (way === 'earliest') {
    const position = { timeline: timelineAt(path, earliest), lsn: earliest };
    return { node, replication, identity, place, path, position };
  }
  const ways = await resumeFrom(ports.bucket, place, path, kept, border);
  there?.(ways.length);
  const position = ways[Math.min(way, ways.length - 1)] ?? ways[0];
  run.covered(position.coveredMs);
  return { node, replication, identity, place, path, position };
}

async function streamFrom(
  run: ShipRun,
  ports: PostgresShipPorts,
  credentials: DbCredentials,
  { writer, lostSlots }: From,
  { node, replication, identity, place, position }: Beginning,
): Promise<ShipEnd> {
  const { instanceId } = node.target;
  const target = lsnBytes(identity.lsn);
  const start = lsnBytes(position.lsn);
  if (start > target && position.timeline === identity.timeline)
    return again(`${instanceId} is at ${identity.lsn}, the archive at ${position.lsn} already`);
  const border = borderBytes(identity.segmentBytes);
  const session = new Session(run, replication, {
    ...{ place, slot: ARCHIVE_SLOT, timeline: position.timeline, start, border, target },
    // Of an older timeline the server says that it has sent all, and means up to where it left it: what was acknowledged since lies
    // on the next one (`XLogSendPhysical` of PostgreSQL's walsender.c).
    fromWriter: isWriter(node, writer) && position.timeline === identity.timeline,
    memory: new SegmentMemory(border),
  });
  run.log.info('shipping', { cluster: run.spec.name, node: instanceId, ...position });
  const current = isCurrent(ports, run, credentials, { node, writer, attested: () => session.attested() });
  const slots = new SlotKeeper(ports, run, credentials, { ...{ node, lost: lostSlots }, safe: () => session.safe });
  try {
    const end = await session.stream(
      () => run.stop() ?? current.reasonToLeave(),
      () => current.look(),
    );
    if (end.kind === 'switched') {
      return again(`timeline ${position.timeline} ends at ${end.lsn}, and ${end.timeline} begins`, 0);
    }
    if (run.mode === 'drain' && session.received >= target) {
      await run.queue.drain();
      return { kind: 'drained' };
    }
    return again(`${instanceId}: ${end.why}`);
  } finally {
    current.stop();
    await slots.stop();
  }
}
