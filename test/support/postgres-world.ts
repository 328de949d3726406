/**
 * A PostgreSQL cluster, its hosts, its clients and a reconcile in memory, for running workflows' definitions against. At every
 * call that a workflow makes, before and after it, clients write to every node that takes writes. Any call can kill the Lambda.
 */
import type { RecoveryInput } from '../../lambdas/model/recovery.ts';
import { EMPTY_LEDGER } from '../../lambdas/model/ledger.ts';
import type { ClusterLedger } from '../../lambdas/model/ledger.ts';
import { declaredNeed, synchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import { TEMPLATE_VERSION_TAG } from '../../lambdas/model/spec.ts';
import type { ClusterSpec, PostgresEngine } from '../../lambdas/model/spec.ts';
import { dataVolumeOf } from '../../lambdas/model/view.ts';
import type { Instance } from '../../lambdas/model/view.ts';
import { runStep } from '../../lambdas/recovery/step.ts';
import type { Capability, StepEvent } from '../../lambdas/recovery/step.ts';
import type { Carried } from '../../lambdas/recovery/state.ts';
import type { Definition } from '../../lib/workflows/asl.ts';
import { FakeAws, READER_GROUP, WRITER_GROUP, aSpec, fakeCloud } from '../fakes/index.ts';
import type { FakeCall } from '../fakes/index.ts';
import { FakePostgres } from '../fakes/postgres.ts';
import { runMachine } from './asl.ts';
import type { Run } from './asl.ts';
import type { Kill } from './recovery-world.ts';

export const EXECUTION = 'arn:aws:states:eu-west-1:123456789012:execution:failover:orders-1';

export const postgresEngine = (overrides: Partial<PostgresEngine> = {}): PostgresEngine => ({
  kind: 'postgres',
  port: 5432,
  durability: 'quorum',
  maxLagBytes: 0x1000,
  slots: 'physical',
  replicationUser: 'rejoin_replication',
  ...overrides,
});

export interface WorldOptions extends Partial<ClusterSpec> {
  readonly postgres?: Partial<PostgresEngine>;
}

export class PostgresWorld {
  readonly aws = new FakeAws();
  readonly pg: FakePostgres;
  readonly spec: ClusterSpec;
  readonly cloud: ReturnType<typeof cloudOf>;
  readonly nodes: readonly Instance[];
  /** Looks on at every call that took effect, and at every call before it does. */
  onCall: (call: FakeCall) => void | Promise<void> = () => undefined;
  beforeCall: (call: FakeCall) => void = () => undefined;
  /** Nobody writes while it is false. */
  writing = true;
  calls = 0;
  #kill: Kill | null = null;
  #dead = false;
  readonly #numbers = new WeakMap<FakeCall, number>();

  constructor({ postgres, ...overrides }: WorldOptions = {}) {
    this.spec = aSpec({ engine: postgresEngine(postgres), ...overrides });
    this.pg = new FakePostgres(this.aws, this.spec);
    this.cloud = cloudOf(this.aws, this.pg);
    this.nodes = this.#cluster();
    this.aws.bootMs = 5000;
    this.aws.stopMs = 6000;
    this.aws.terminateMs = 3000;
    this.aws.before = (call) => this.#before(call);
    this.aws.after = (call) => this.#after(call);
    this.pg.write();
  }

  node(index: number): Instance {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`the world has no node ${index}`);
    return node;
  }

  id(index: number): string {
    return this.node(index).id;
  }

  ledger(): ClusterLedger {
    const found = this.aws.ledgers.get(this.spec.name);
    if (found === undefined) throw new Error('the world has no ledger');
    return found;
  }

  setLedger(change: Partial<ClusterLedger>): void {
    this.aws.ledgers.set(this.spec.name, { ...this.ledger(), ...change });
  }

  /** EC2 terminates an instance, as a person or a failing host does; its data volume outlives it. */
  terminates(id: string): void {
    this.aws.setState(id, 'shutting-down');
    this.pg.crash(id);
    this.aws.passages.set(id, { to: 'terminated', atMs: this.aws.clock.nowMs() });
  }

  /** The volume goes with its instance. */
  losesVolume(id: string): void {
    const instance = this.aws.instances.get(id);
    if (instance === undefined) throw new Error(`the world has no instance ${id}`);
    for (const v of instance.volumes) this.aws.volumes.delete(v.volumeId);
    this.aws.instances.set(id, { ...instance, volumes: [] });
  }

  record(incident: string): readonly string[] {
    return [...(this.aws.incidents.get(`${this.spec.name}/${incident}`)?.values() ?? [])].map(
      (e) => `${e.what}: ${e.why}`,
    );
  }

  killAt(kill: Kill): void {
    this.#kill = kill;
  }

  async run<S extends Carried>(
    definition: Definition,
    capability: Capability<S>,
    input: RecoveryInput | Readonly<Record<string, unknown>>,
    execution = EXECUTION,
  ): Promise<Run> {
    this.calls = 0;
    return runMachine(
      {
        definition,
        executionArn: execution,
        clock: this.aws.clock,
        invoke: (payload) => this.invoke(capability, payload as unknown as StepEvent),
      },
      input,
    );
  }

  /** One invocation of the workflow's Lambda. A throw is the error that Step Functions sees. */
  async invoke<S extends Carried>(capability: Capability<S>, event: StepEvent): Promise<S> {
    this.#dead = false;
    const ended = await runStep(capability, event, this.cloud).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    // A killed process answers nothing, whatever its code would have made of it.
    if (this.#dead) throw Object.assign(new Error('exit status 1'), { name: 'Runtime.ExitError' });
    if ('error' in ended) throw ended.error;
    return ended.value;
  }

  /** What reconcile does when a workflow asks for it: routes writes to the ledger's writer, reads to those who stream from it. */
  reconcile(): void {
    const { writer } = this.ledger();
    const primary = writer !== null && this.pg.primaries().includes(writer) ? writer : null;
    for (const i of this.aws.instances.values()) {
      const { port } = this.spec.engine;
      this.aws.setTarget(WRITER_GROUP, i.id, port, i.id === primary ? 'healthy' : 'unused');
      const serves = primary !== null && (i.id === primary || this.pg.streams(i.id, primary));
      this.aws.setTarget(READER_GROUP, i.id, port, serves ? 'healthy' : 'unused');
    }
  }

  #before(call: FakeCall): void {
    if (this.#dead) throw new Error(`${call.operation}: the process is dead`);
    this.calls += 1;
    this.#numbers.set(call, this.calls);
    this.beforeCall(call);
    if (this.writing) this.pg.write();
    this.#maybeKill(call, 'before');
  }

  async #after(call: FakeCall): Promise<void> {
    if (this.writing) this.pg.write();
    if (call.operation === 'ReconcileRequests.send') this.reconcile();
    await this.onCall(call);
    if (this.#dead) throw new Error(`${call.operation}: the process is dead`);
    this.#maybeKill(call, 'after');
  }

  #maybeKill(call: FakeCall, moment: Kill['moment']): void {
    if (this.#kill === null || this.#kill.call !== this.#numbers.get(call) || this.#kill.moment !== moment) return;
    this.#kill = null;
    this.#dead = true;
    throw new Error('killed');
  }

  /** The first node is the primary, the others stream from it; with durability quorum its setting and the ledger say the same. */
  #cluster(): readonly Instance[] {
    const { aws, pg, spec } = this;
    aws.addCluster(spec);
    const instances = Array.from({ length: spec.nodes }, (_, i) => {
      const subnet = spec.subnets[i % spec.subnets.length];
      return aws.addInstance({
        cluster: spec.name,
        zone: subnet?.zone ?? 'eu-west-1a',
        subnetId: subnet?.id ?? null,
        tags: { [TEMPLATE_VERSION_TAG]: '1' },
        volumes: [{ volumeId: aws.nextId('vol'), device: spec.dataDevice, deleteOnTermination: false }],
      });
    });
    const [first, ...others] = instances;
    if (first === undefined || spec.engine.kind !== 'postgres') throw new Error('the world needs nodes of PostgreSQL');
    const primary = pg.addPrimary(first);
    for (const i of others) pg.addStandby(i, primary);
    const set = { need: declaredNeed(spec.nodes, spec.engine.acknowledgements), standbys: others.map((i) => i.id) };
    const sync = spec.engine.durability === 'quorum' ? { sets: [set], barrierLsn: null } : null;
    if (sync !== null && primary.disk !== null) primary.disk.names = synchronousStandbyNames(set);
    const { timeline, lsn } = pg.status(first.id);
    const position = { node: first.id, timeline, lsn, atMs: aws.clock.nowMs() };
    const writerVolume = dataVolumeOf(first, spec.dataDevice);
    aws.ledgers.set(spec.name, { ...EMPTY_LEDGER, epoch: 1, writer: first.id, writerVolume, sync, position });
    this.reconcile();
    return instances;
  }
}

const cloudOf = (aws: FakeAws, pg: FakePostgres) => ({ ...fakeCloud(aws), prober: pg, admin: pg });
