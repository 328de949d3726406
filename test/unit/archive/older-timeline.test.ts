/**
 * After a failover the new writer gives the rest of the old timeline: that it has sent all of it says nothing of what came since. Nor
 * does what a writer says of itself that hung meanwhile.
 */
import { describe, expect, it } from 'vitest';
import { pieceQueue } from '../../../lambdas/archive/ship/piece-queue.ts';
import { postgresShipEngine } from '../../../lambdas/archive/ship/postgres/engine.ts';
import type { PostgresShipPorts } from '../../../lambdas/archive/ship/postgres/ports.ts';
import type { ShipRun } from '../../../lambdas/archive/ship/run.ts';
import type { Prober } from '../../../lambdas/cloud/ports.ts';
import type { ReplicationSession } from '../../../lambdas/engines/postgres/replication.ts';
import { parseKey } from '../../../lambdas/model/archive/keys.ts';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import type { PostgresStatus } from '../../../lambdas/model/postgres.ts';
import type { ArchiveSpec } from '../../../lambdas/model/spec.ts';
import { aSpec, fakeCloud } from '../../fakes/index.ts';

const ARCHIVE: ArchiveSpec = { bucket: 'b', rpoSeconds: 10, retentionDays: 1, baseBackupSeconds: 86_400 };
const START = 0x3000000n;

interface Go {
  readonly timeline: number;
  readonly mode?: ShipRun['mode'];
  /** When the ledger's writer is another one by the time that the server says that this is all. */
  readonly isReplaced?: boolean;
  /** For how long the stream goes on after that, with some bytes now and then. */
  readonly forMs?: number;
}

/** One go from a writer on `timeline`, which gives 256 bytes of the first one and says that this is all. Answers what the objects cover. */
async function coveredAfter({
  timeline,
  mode = 'stream',
  isReplaced = false,
  forMs = 0,
}: Go): Promise<readonly number[]> {
  const cloud = fakeCloud();
  const { clock, log, metrics, bucket } = cloud;
  const spec = aSpec({
    engine: {
      ...{ kind: 'postgres', port: 5432, durability: 'quorum', maxLagBytes: 2 ** 20, slots: 'physical' },
      replicationUser: 'replicator',
    },
  });
  cloud.aws.addCluster(spec);
  const { id } = cloud.aws.addInstance({ cluster: spec.name, zone: 'eu-west-1a' });
  cloud.aws.ledgers.set(spec.name, { ...EMPTY_LEDGER, epoch: 1, writer: id });
  const lsn = '0/3000100';
  const status: PostgresStatus = {
    ...{ engine: 'postgres', inRecovery: false, systemId: '7', timeline, lsn, replayLsn: null },
    ...{ replayLagSeconds: null, receiver: null, followsHost: null, standbys: [], disk: null },
    ...{ synchronousStandbyNames: '', slots: [] },
  };
  const prober: Prober = {
    close: () => Promise.resolve(),
    probe: () => Promise.resolve({ kind: 'answered', atMs: 0, tookMs: 1, status }),
  };
  const session: ReplicationSession = {
    identify: () => Promise.resolve({ systemId: '7', timeline, lsn, segmentBytes: 2 ** 20 }),
    slotKeepsFrom: () => Promise.resolve('0/3000000'),
    timelineHistory: () => Promise.resolve(timeline === 1 ? null : `1\t${lsn}\tno recovery target specified\n`),
    stream: async (_, events) => {
      if (isReplaced) cloud.aws.ledgers.set(spec.name, { ...EMPTY_LEDGER, epoch: 2, writer: 'i-another' });
      events.told(START, clock.nowMs(), true);
      events.wal(START, new Uint8Array(0x100));
      events.told(START + 0x100n, clock.nowMs(), true);
      const untilMs = clock.nowMs() + forMs;
      for (let end = START + 0x100n; clock.nowMs() < untilMs; end += 4n) {
        events.wal(end, new Uint8Array(4));
        events.told(end + 4n, clock.nowMs(), true);
        await clock.sleep(100);
      }
      return timeline === 1 ? { kind: 'ended', why: 'the test is over' } : { kind: 'switched', timeline, lsn };
    },
    ...{ pause: () => undefined, resume: () => undefined, end: () => undefined },
  };
  const admin = { ...cloud.admin, setSlots: () => Promise.resolve() };
  const ports: PostgresShipPorts = {
    ...{ ...cloud, prober, admin, replicate: () => Promise.resolve(session), handOver: () => Promise.resolve() },
  };
  const queue = pieceQueue({ bucket, clock });
  const run: ShipRun = {
    ...{ spec, archive: ARCHIVE, mode, clock, log, metrics, queue },
    ...{ stop: () => null, covered: () => undefined },
  };
  await postgresShipEngine(ports).ship(run);
  await queue.drain();
  return [...cloud.aws.objects.keys()].flatMap((key) => {
    const object = parseKey(key)?.object;
    return object?.kind === 'wal' ? [object.coveredMs] : [];
  });
}

describe('what an object of the archive covers', () => {
  it('is nothing for the rest of a timeline that the writer has left', async () => {
    expect(await coveredAfter({ timeline: 2, mode: 'drain' })).toEqual([0]);
  });

  it.each(['drain', 'stream'] as const)(
    'is the moment at which the writer had no more, of the timeline that it writes (%s)',
    async (mode) => {
      const covered = await coveredAfter({ timeline: 1, mode, forMs: mode === 'drain' ? 0 : 1500 });
      expect(covered.at(-1)).toBeGreaterThan(0);
    },
  );

  it.each(['drain', 'stream'] as const)(
    'is nothing by the word of a writer that hung, and was replaced while it did (%s)',
    async (mode) => {
      expect(await coveredAfter({ timeline: 1, mode, isReplaced: true, forMs: 1500 })).toEqual([0]);
    },
  );

  it('is nothing as long as nobody has looked who the writer is', async () => {
    expect(await coveredAfter({ timeline: 1 })).toEqual([0]);
  });
});
