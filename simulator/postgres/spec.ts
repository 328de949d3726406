/** What the PostgreSQL clusters of the nights declare: most wait for a quorum, some for nobody. */
import type { ClusterSpec, PostgresEngine } from '../../lambdas/model/spec.ts';
import { aSpec } from '../../test/fakes/index.ts';

const QUORUM: PostgresEngine = {
  kind: 'postgres',
  port: 5432,
  durability: 'quorum',
  maxLagBytes: 2 ** 20,
  slots: 'physical',
  replicationUser: 'rejoin_replication',
};

/** One night of five of those that have even seeds. By the seed and not by chance, so that all other nights stay what they are. */
const EVERY = 10;

/** Ten commits of the model's clients (96 bytes each, one a second), so that a night knows both sides of it. */
const LITTLE = 960;

/** The archive's truth does not know of writes that may be lost: its nights have a quorum. */
export const isAsync = (seed: number, archive: boolean): boolean => !archive && seed % EVERY === 0;

/** In every second of the asynchronous nights more is allowed to be missing than is ever written in one. */
export function postgresSpec(seed: number, archive: boolean): ClusterSpec {
  if (!isAsync(seed, archive)) return aSpec({ engine: QUORUM });
  const maxLagBytes = (seed / EVERY) % 2 === 1 ? LITTLE : QUORUM.maxLagBytes;
  return aSpec({ engine: { ...QUORUM, durability: 'async', maxLagBytes } });
}

/** Null: of another engine. */
export const durabilityOf = ({ engine }: ClusterSpec): PostgresEngine['durability'] | null =>
  engine.kind === 'postgres' ? engine.durability : null;
