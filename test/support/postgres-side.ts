/** The PostgreSQL cluster of a recovery world: its servers, and the upkeep that reconcile does for them. */
import type { SyncState } from '../../lambdas/model/quorum.ts';
import { declaredNeed, synchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import type { ClusterSpec, PostgresEngine } from '../../lambdas/model/spec.ts';
import type { Instance } from '../../lambdas/model/view.ts';
import type { FakeAws } from '../fakes/index.ts';
import { FakePostgres } from '../fakes/postgres.ts';

/** A PostgreSQL cluster as most tests want it. */
export const POSTGRES: PostgresEngine = {
  kind: 'postgres',
  port: 5432,
  durability: 'quorum',
  maxLagBytes: 1024,
  slots: 'physical',
  replicationUser: 'rejoin_replication',
};

export class PostgresSide {
  readonly fake: FakePostgres;
  readonly #aws: FakeAws;
  readonly #spec: ClusterSpec;

  constructor(aws: FakeAws, spec: ClusterSpec) {
    this.fake = new FakePostgres(aws, spec);
    this.#aws = aws;
    this.#spec = spec;
  }

  /** The first is the primary, the others stream from it; the quorum is whole. */
  populate(instances: readonly Instance[]): void {
    const [first, ...others] = instances;
    if (first === undefined) throw new Error('a cluster has at least one node');
    const primary = this.fake.addPrimary(first);
    for (const i of others) this.fake.addStandby(i, primary);
    this.upkeep(null);
  }

  dies(id: string, kind: 'refused' | 'silent' | 'unreachable'): void {
    if (kind === 'refused') this.fake.crash(id);
    else if (kind === 'silent') this.fake.freeze(id);
    else this.fake.cut(id, { plane: true, peers: true });
  }

  /** Is it the ledger's writer and a primary, or does it stream from that and have everything. */
  serves(id: string): boolean {
    const { writer } = this.#ledger();
    if (writer === null || this.#aws.instances.get(id)?.state !== 'running') return false;
    this.fake.settle();
    const server = this.fake.servers.get(id);
    if (server?.process !== 'up' || server.deafToPlane) return false;
    return id === writer ? !server.recovering : this.fake.follows(id, writer);
  }

  /** The quorum is what streams, but for `leaving`; slots of ended instances go. Done at once, without the steps between. */
  upkeep(leaving: string | null): void {
    const { writer } = this.#ledger();
    const primary = writer === null ? undefined : this.fake.servers.get(writer);
    if (writer === null || primary?.disk === undefined || primary.disk === null || primary.process !== 'up') return;
    const ids = [...this.fake.servers.keys()].filter((id) => id !== writer && id !== leaving && this.serves(id)).sort();
    const need = Math.min(ids.length, declaredNeed(this.#spec.nodes));
    const set = { need, standbys: ids };
    primary.disk.names = synchronousStandbyNames(set);
    const sync: SyncState = { sets: [set], barrierLsn: null };
    this.#aws.ledgers.set(this.#spec.name, { ...this.#ledger(), sync });
    for (const slot of [...primary.disk.slots]) {
      const owner = [...this.#aws.instances.values()].find((i) => slotOf(i.id) === slot);
      if (owner === undefined || owner.state === 'terminated') primary.disk.slots.delete(slot);
    }
  }

  #ledger() {
    const found = this.#aws.ledgers.get(this.#spec.name);
    if (found === undefined) throw new Error('the world has no ledger');
    return found;
  }
}
