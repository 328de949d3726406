/** What slots hold back, and what they have lost. */
import { describe, expect, it } from 'vitest';
import { pieceQueue } from '../../../lambdas/archive/ship/piece-queue.ts';
import { postgresShipEngine } from '../../../lambdas/archive/ship/postgres/engine.ts';
import { LostSlots } from '../../../lambdas/archive/ship/postgres/lost-slots.ts';
import { answeringNodes } from '../../../lambdas/archive/ship/postgres/nodes.ts';
import type { PostgresShipPorts } from '../../../lambdas/archive/ship/postgres/ports.ts';
import { SlotKeeper } from '../../../lambdas/archive/ship/postgres/slots.ts';
import type { AnsweringNode } from '../../../lambdas/archive/ship/postgres/source.ts';
import type { ShipRun } from '../../../lambdas/archive/ship/run.ts';
import { retainedBytes } from '../../../lambdas/archive/slots.ts';
import type { Prober } from '../../../lambdas/cloud/ports.ts';
import { StatementRefused } from '../../../lambdas/engines/postgres/connection.ts';
import type { PostgresStatus, ReplicationSlot } from '../../../lambdas/model/postgres.ts';
import type { ArchiveSpec } from '../../../lambdas/model/spec.ts';
import { aSpec, FakeLog, FakeMetrics, fakeCloud } from '../../fakes/index.ts';

const slot = (change: Partial<ReplicationSlot> = {}): ReplicationSlot => ({
  ...{ name: 'rejoin_archive', active: true, restartLsn: '0/3000000', walStatus: 'reserved' },
  ...change,
});
const status = (...slots: readonly ReplicationSlot[]): PostgresStatus => ({
  ...{ engine: 'postgres', inRecovery: false, systemId: '7', timeline: 1, lsn: '0/3000400', replayLsn: null },
  ...{
    replayLagSeconds: null,
    receiver: null,
    followsHost: null,
    standbys: [],
    synchronousStandbyNames: '',
    disk: null,
  },
  slots,
});
const spec = aSpec({
  engine: {
    ...{ kind: 'postgres', port: 5432, durability: 'async', maxLagBytes: 2 ** 20, slots: 'physical' },
    replicationUser: 'replicator',
  },
});

const lost = slot({ restartLsn: null, walStatus: 'lost' });
const CREDENTIALS = { user: 'u', password: 'p' };

describe('what slots hold back', () => {
  const told = async (statuses: readonly (PostgresStatus | null)[], of = spec): Promise<number | null> => {
    const cloud = fakeCloud();
    cloud.aws.addCluster(of);
    const answers = new Map(
      statuses.map((s) => [cloud.aws.addInstance({ cluster: of.name, zone: 'eu-west-1a' }).id, s]),
    );
    const prober: Prober = {
      close: () => Promise.resolve(),
      probe: ({ instanceId }) => {
        const said = answers.get(instanceId) ?? null;
        return Promise.resolve(
          said === null
            ? { kind: 'silent', atMs: 0, tookMs: 1, detail: 'silent' }
            : { kind: 'answered', atMs: 0, tookMs: 1, status: said },
        );
      },
    };
    return retainedBytes({ ...cloud, prober })(of);
  };

  it('is the most on a node, of the archive’s slot alone', async () => {
    const other = slot({ name: 'i_b', restartLsn: '0/1' });
    expect(await told([status(slot(), other), status(slot({ restartLsn: '0/2000400' })), null])).toBe(2 ** 24);
  });

  it('is unknown when no node has the slot, none answers, or the engine has none', async () => {
    expect(await told([status(), null])).toBeNull();
    expect(await told([])).toBeNull();
    expect(await told([status(slot())], aSpec())).toBeNull();
  });
});

describe('a slot that has lost log', () => {
  const node = (instanceId: string, of: PostgresStatus): AnsweringNode => ({
    target: { instanceId, host: '10.0.0.1', port: 5432, engine: 'postgres', deadlineMs: 1 },
    status: of,
  });
  it('is a gap once, and is logged with its node; when it is lost again, once more', () => {
    const [metrics, log, slots] = [new FakeMetrics(), new FakeLog(), new LostSlots()];
    const look = (b: ReplicationSlot): number => {
      slots.look({ spec, metrics, log }, [node('i-a', status(slot())), node('i-b', status(b))]);
      return metrics.total('ArchiveGap');
    };
    expect([look(slot()), look(lost), look(lost)]).toEqual([0, 1, 1]);
    expect(slots.has(spec.name, 'i-b')).toBe(true);
    expect(slots.has(spec.name, 'i-a')).toBe(false);
    expect(log.lines.map(({ level, extra }) => [level, extra])).toEqual([
      ['error', { cluster: spec.name, node: 'i-b' }],
    ]);
    expect([look(slot()), look(lost)]).toEqual([1, 2]);
  });
});

describe('the shipper of a node whose slot has lost log', () => {
  const world = (slots: readonly ReplicationSlot[]) => {
    const cloud = fakeCloud();
    cloud.aws.addCluster(spec);
    cloud.aws.addInstance({ cluster: spec.name, zone: 'eu-west-1a' });
    const prober: Prober = {
      close: () => Promise.resolve(),
      probe: () => Promise.resolve({ kind: 'answered', atMs: 0, tookMs: 1, status: status(...slots) }),
    };
    const refused = new StatementRefused('requested WAL segment has already been removed', '58P01');
    const ports: PostgresShipPorts = {
      ...{ ...cloud, prober, replicate: () => Promise.reject(refused), handOver: () => Promise.resolve() },
    };
    const { clock, log, metrics } = cloud;
    const archive: ArchiveSpec = { bucket: 'b', rpoSeconds: 60, retentionDays: 1, baseBackupSeconds: 86_400 };
    const run: ShipRun = {
      ...{ spec, archive, mode: 'drain', clock, log, metrics, queue: pieceQueue({ bucket: cloud.bucket, clock }) },
      ...{ stop: () => null, covered: () => undefined },
    };
    return { ports, run, metrics, log };
  };

  it.each([
    ['lost', lost],
    ['well', slot()],
  ])('counts one gap when no node has what follows the archive and the slot is %s', async (_, its) => {
    const { ports, run, metrics } = world([its]);
    await expect(postgresShipEngine(ports).ship(run)).rejects.toThrow(/already been removed/);
    expect(metrics.total('ArchiveGap')).toBe(1);
  });

  it('tells it beside the stream too', async () => {
    const { ports, run, metrics } = world([lost]);
    const [node] = await answeringNodes(ports, spec, CREDENTIALS);
    if (node === undefined) throw new Error('no node answers');
    await new SlotKeeper(ports, run, CREDENTIALS, { node, lost: new LostSlots(), safe: () => 0n }).stop();
    expect(metrics.total('ArchiveGap')).toBe(1);
  });
});
