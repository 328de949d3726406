/** A hole in the archive is filled from whatever node has its log, before anybody goes on behind it. */
import { describe, expect, it } from 'vitest';
import { pieceQueue } from '../../../lambdas/archive/ship/piece-queue.ts';
import { postgresShipEngine } from '../../../lambdas/archive/ship/postgres/engine.ts';
import type { ShipRun } from '../../../lambdas/archive/ship/run.ts';
import type { Prober } from '../../../lambdas/cloud/ports.ts';
import { StatementRefused } from '../../../lambdas/engines/postgres/connection.ts';
import type { ReplicationSession } from '../../../lambdas/engines/postgres/replication.ts';
import { keyOf, lsnOfBytes, parseKey } from '../../../lambdas/model/archive/keys.ts';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import { lsnBytes } from '../../../lambdas/model/lsn.ts';
import type { PostgresStatus } from '../../../lambdas/model/postgres.ts';
import { aSpec, fakeCloud } from '../../fakes/index.ts';

const SEGMENT = 0x1000;
const END = 0x8000;

/** What a node has: its log from `removedTo` on, and a slot that keeps it from `kept` on. */
interface Node {
  readonly removedTo: number;
  readonly kept: number;
  /** It runs, and does not answer for so long. */
  readonly silentForMs?: number;
}

/**
 * A shipper over a writer and a standby, of an archive with a hole from 0/4F80 to 0/5000. Answers who was asked for log from where, in
 * order, and the objects that came to be.
 */
async function shipped(writer: Node, standby: Node) {
  const cloud = fakeCloud();
  const { clock, log, metrics, bucket } = cloud;
  const engine = {
    kind: 'postgres',
    port: 5432,
    durability: 'quorum',
    maxLagBytes: 2 ** 20,
    slots: 'physical',
  } as const;
  const spec = aSpec({ engine: { ...engine, replicationUser: 'replicator' } });
  cloud.aws.addCluster(spec);
  const place = { cluster: spec.name, history: '7' };
  for (const [start, end] of [
    [0x3000, 0x4000],
    [0x4000, 0x4f80],
    [0x5000, 0x6000],
  ] as const) {
    const range = { start: lsnOfBytes(BigInt(start)), end: lsnOfBytes(BigInt(end)), coveredMs: 0 };
    await bucket.put(keyOf(place, { kind: 'wal', timeline: 1, ...range }), Buffer.from('log'));
  }
  const before = new Set(cloud.aws.objects.keys());
  const [w, s] = [writer, standby].map((node) => ({
    ...node,
    ...cloud.aws.addInstance({ cluster: spec.name, zone: 'a' }),
  }));
  const nodes = new Map([w, s].flatMap((n) => (n === undefined ? [] : [[n.id, n] as const])));
  cloud.aws.ledgers.set(spec.name, { ...EMPTY_LEDGER, epoch: 1, writer: w?.id ?? null });
  const lsn = lsnOfBytes(BigInt(END));
  const prober: Prober = {
    close: () => Promise.resolve(),
    probe: ({ instanceId }) => {
      const { silentForMs = 0 } = nodes.get(instanceId) ?? {};
      if (clock.nowMs() - beganMs < silentForMs)
        return Promise.resolve({ kind: 'silent', atMs: 0, tookMs: 1, detail: 'the test' });
      const status: PostgresStatus = {
        ...{ engine: 'postgres', inRecovery: instanceId !== w?.id, systemId: '7', timeline: 1, lsn, replayLsn: null },
        ...{ replayLagSeconds: null, receiver: null, followsHost: null, standbys: [], disk: null },
        ...{ synchronousStandbyNames: '', slots: [] },
      };
      return Promise.resolve({ kind: 'answered', atMs: 0, tookMs: 1, status });
    },
  };
  const asked: string[] = [];
  const beganMs = clock.nowMs();
  const open = (id: string): ReplicationSession => ({
    identify: () => Promise.resolve({ systemId: '7', timeline: 1, lsn, segmentBytes: SEGMENT }),
    slotKeepsFrom: () => Promise.resolve(lsnOfBytes(BigInt(nodes.get(id)?.kept ?? 0))),
    timelineHistory: () => Promise.resolve(null),
    stream: ({ start }, events) => {
      asked.push(`${id === w?.id ? 'writer' : 'standby'} from ${lsnOfBytes(start)}`);
      if (Number(start) < (nodes.get(id)?.removedTo ?? 0))
        return Promise.reject(new StatementRefused('requested WAL segment has already been removed', '58P01'));
      events.wal(start, new Uint8Array(END - Number(start)));
      return Promise.resolve({ kind: 'ended', why: 'the test is over' });
    },
    ...{ pause: () => undefined, resume: () => undefined, end: () => undefined },
  });
  const queue = pieceQueue({ bucket, clock });
  const run: ShipRun = {
    ...{ spec, archive: { bucket: 'b', rpoSeconds: 10, retentionDays: 1, baseBackupSeconds: 86_400 } },
    ...{ mode: 'stream', clock, log, metrics, queue, stop: () => null, covered: () => undefined },
  };
  const shipper = postgresShipEngine({
    ...{ ...cloud, prober, admin: { ...cloud.admin, setSlots: () => Promise.resolve() } },
    replicate: ({ instanceId }) => Promise.resolve(open(instanceId)),
    handOver: () => Promise.resolve(),
  });
  // Go after go, as `run.ts` does it, until one has shipped.
  for (let left = 1000; cloud.aws.objects.size === before.size && left > 0; left -= 1) {
    await shipper.ship(run);
    await queue.drain();
    await clock.sleep(1000);
  }
  const starts = [...cloud.aws.objects.keys()].flatMap((key) => {
    const object = parseKey(key)?.object;
    return before.has(key) || object?.kind !== 'wal' ? [] : [lsnBytes(object.start)];
  });
  const tookMs = clock.nowMs() - beganMs;
  return { asked: [...new Set(asked)], starts: starts.map((start) => lsnOfBytes(start)), tookMs };
}

describe('a hole that a killed shipper has left', () => {
  it('is filled by the writer, also when its slot was made anew behind it', async () => {
    const { asked, starts } = await shipped({ removedTo: 0x4000, kept: 0x7000 }, { removedTo: 0x4000, kept: 0x7000 });
    expect(asked).toEqual(['writer from 0/4F80']);
    expect(starts[0]).toBe('0/4F80');
  });

  it('is filled by a standby that has its log, when the writer has not', async () => {
    const { asked, starts } = await shipped({ removedTo: 0x5000, kept: 0x7000 }, { removedTo: 0x4000, kept: 0x4f80 });
    expect(asked).toEqual(['writer from 0/4F80', 'standby from 0/4F80']);
    expect(starts[0]).toBe('0/4F80');
  });

  it('is left when nobody has its log, and the archive goes on where it ends', async () => {
    const { asked, starts } = await shipped({ removedTo: 0x5000, kept: 0x7000 }, { removedTo: 0x5000, kept: 0x7000 });
    expect(asked).toEqual(['writer from 0/4F80', 'standby from 0/4F80', 'writer from 0/6000']);
    expect(starts[0]).toBe('0/6000');
  });

  it('is a gap when nobody has what follows the end either', async () => {
    const { asked, starts } = await shipped({ removedTo: 0x7000, kept: 0x7000 }, { removedTo: 0x7000, kept: 0x7000 });
    expect(asked.at(-1)).toBe('writer from 0/7000');
    expect(starts[0]).toBe('0/7000');
  });

  it('is not left behind while a node that may have its log does not answer', async () => {
    const writer = { removedTo: 0x5000, kept: 0x7000 };
    const { asked, starts } = await shipped(writer, { removedTo: 0x4000, kept: 0x4f80, silentForMs: 60_000 });
    expect(asked).toEqual(['writer from 0/4F80', 'standby from 0/4F80']);
    expect(starts[0]).toBe('0/4F80');
  });

  it('is left behind at last, lest the archive stand still', async () => {
    const writer = { removedTo: 0x5000, kept: 0x7000 };
    const { starts, tookMs } = await shipped(writer, { removedTo: 0x4000, kept: 0x4f80, silentForMs: 3_600_000 });
    expect(starts[0]).toBe('0/6000');
    expect(tookMs).toBeGreaterThan(85_000);
    expect(tookMs).toBeLessThan(150_000);
  });
});
