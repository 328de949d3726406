/** A healthy PostgreSQL cluster of three over the fakes: real decisions, a model of the servers, virtual time. */
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import { synchronousStandbyNames } from '../../../lambdas/model/quorum.ts';
import type { ClusterSpec, PostgresEngine } from '../../../lambdas/model/spec.ts';
import { FakeClock, FakeAws, aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import { FakePostgres } from '../../fakes/postgres.ts';

const ENGINE: PostgresEngine = {
  kind: 'postgres',
  port: 5432,
  durability: 'quorum',
  maxLagBytes: 65_536,
  slots: 'physical',
  replicationUser: 'replicator',
};

export const CREDENTIALS = { user: 'rejoin', password: 'secret' };

/** `a` is the primary and the ledger's writer; commits wait for any one of `b` and `c`, and the ledger knows it. */
export async function postgresCloud(engine: Partial<PostgresEngine> = {}, more: Partial<ClusterSpec> = {}) {
  const spec = aSpec({ ...more, engine: { ...ENGINE, ...engine } });
  const cloud = fakeCloud(new FakeAws(new FakeClock()));
  cloud.aws.registeredState = 'healthy';
  const instances = healthyCluster(cloud.aws, spec);
  const pg = new FakePostgres(cloud.aws, spec);
  const [first, ...others] = instances;
  if (first === undefined) throw new Error('a cluster has nodes');
  const primary = pg.addPrimary(first);
  for (const instance of others) pg.addStandby(instance, primary);
  const ports = { ...cloud, prober: pg, admin: pg };
  const targetOf = (id: string) => ({
    instanceId: id,
    host: cloud.aws.instances.get(id)?.privateIp ?? '',
    port: ENGINE.port,
    engine: 'postgres' as const,
  });
  const set = { need: 1, standbys: others.map((i) => i.id) };
  const isQuorum = (engine.durability ?? 'quorum') === 'quorum';
  if (isQuorum) await pg.setSync(targetOf(first.id), CREDENTIALS, null, synchronousStandbyNames(set));
  cloud.aws.ledgers.set('orders', {
    ...EMPTY_LEDGER,
    epoch: 1,
    writer: first.id,
    sync: isQuorum ? { sets: [set], barrierLsn: null } : null,
  });
  cloud.aws.calls.length = 0;
  const [a = '', b = '', c = ''] = instances.map((i) => i.id);
  return { cloud, pg, ports, targetOf, a, b, c };
}

export type PostgresCloud = Awaited<ReturnType<typeof postgresCloud>>;
