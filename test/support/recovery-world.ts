/**
 * A cluster, its hosts and a reconcile in memory, for running the recovery workflows' definitions against: scripts change
 * what probes find, and a request for reconcile routes to whoever serves. Any call can kill the Lambda that makes it. The
 * cluster is Galera's, or PostgreSQL's when the specification says so.
 */
import type { CommandState, PostgresAdmin, Prober } from '../../lambdas/cloud/ports.ts';
import { serves } from '../../lambdas/model/galera.ts';
import type { GaleraStatus } from '../../lambdas/model/galera.ts';
import type { RecoveryInput } from '../../lambdas/model/recovery.ts';
import { INCIDENT_TAG } from '../../lambdas/model/spec.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import type { Instance, Probe } from '../../lambdas/model/view.ts';
import { runStep } from '../../lambdas/recovery/step.ts';
import type { Capability, StepEvent } from '../../lambdas/recovery/step.ts';
import type { Carried } from '../../lambdas/recovery/state.ts';
import type { Definition } from '../../lib/workflows/asl.ts';
import {
  FakeAws,
  FakeClock,
  READER_GROUP,
  STATE_UUID,
  WRITER_GROUP,
  aSpec,
  aStatus,
  answered,
  fakeCloud,
  healthyCluster,
} from '../fakes/index.ts';
import type { FakeCall, FakeCloud } from '../fakes/index.ts';
import { runMachine } from './asl.ts';
import type { Run } from './asl.ts';
import { PostgresSide } from './postgres-side.ts';

export const EXECUTION = 'arn:aws:states:eu-west-1:123456789012:execution:replace:orders-1';

/** Of a cluster that was bootstrapped with a new history. */
export const NEW_STATE_UUID = '6a7c1b1e-1f64-11f0-9c3a-0000000000ff';

const ok = (output = '{}'): CommandState => ({ kind: 'succeeded', output });
export const failed = (error: string): CommandState => ({ kind: 'failed', exitCode: 1, output: '', error });

export interface Kill {
  /** The how manieth call of the execution, from 1. */
  readonly call: number;
  readonly moment: 'before' | 'after';
}

export class World {
  readonly aws: FakeAws;
  readonly cloud: Omit<FakeCloud, 'prober' | 'admin'> & { readonly prober: Prober; readonly admin: PostgresAdmin };
  readonly spec: ClusterSpec;
  /** Null in a Galera world. */
  readonly postgres: PostgresSide | null;
  readonly nodes: readonly Instance[];
  /** How long a joiner refuses, then joins, before it is Synced. */
  refusesMs = 4000;
  joinsMs = 8000;
  /** Scripts that fail: answers the failure, or null when it goes well. */
  fails: (document: string, instance: string, parameters: Readonly<Record<string, string>>) => CommandState | null =
    () => null;
  positions = new Map<string, object>();
  /** Looks on at every call that took effect. */
  onCall: (call: FakeCall) => void | Promise<void> = () => undefined;
  /** Looks on at every call before it takes effect; what it throws is the call's error. */
  beforeCall: (call: FakeCall) => void = () => undefined;
  /** Whether a request for reconcile is heard. */
  reconciles = true;
  calls = 0;
  #kill: Kill | null = null;
  /** What a joiner takes from the primary component. */
  #stateUuid = STATE_UUID;
  /** Probes run at the same time: what ends is not what began last. */
  readonly #numbers = new WeakMap<FakeCall, number>();
  #dead = false;

  constructor(overrides: Partial<ClusterSpec> = {}, clock = new FakeClock()) {
    this.aws = new FakeAws(clock);
    this.spec = aSpec(overrides);
    this.nodes = healthyCluster(this.aws, this.spec);
    this.postgres = this.spec.engine.kind === 'postgres' ? new PostgresSide(this.aws, this.spec) : null;
    this.postgres?.populate(this.nodes);
    const fake = this.postgres?.fake;
    const cloud = fakeCloud(this.aws);
    this.cloud = { ...cloud, prober: fake ?? cloud.prober, admin: fake ?? cloud.admin };
    this.aws.bootMs = 20_000;
    this.aws.stopMs = 3000;
    this.aws.terminateMs = 3000;
    this.aws.before = (call) => this.#before(call);
    this.aws.after = (call) => this.#after(call);
    this.#scripts();
  }

  node(index: number): Instance {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`the world has no node ${index}`);
    return node;
  }

  ledger() {
    const found = this.aws.ledgers.get(this.spec.name);
    if (found === undefined) throw new Error('the world has no ledger');
    return found;
  }

  setLedger(change: Partial<ReturnType<World['ledger']>>): void {
    this.aws.ledgers.set(this.spec.name, { ...this.ledger(), ...change });
  }

  says(id: string, probe: Probe | ((atMs: number) => Probe)): void {
    this.aws.probes.set(id, probe);
  }

  dies(id: string, kind: 'refused' | 'silent' | 'unreachable' = 'refused'): void {
    if (this.postgres !== null) this.postgres.dies(id, kind);
    else this.says(id, (atMs) => ({ kind, atMs, tookMs: 1, detail: 'test' }));
  }

  /** EC2 terminates an instance, as a person or a failing host does. */
  terminates(id: string): void {
    const instance = this.aws.instances.get(id);
    if (instance === undefined) throw new Error(`the world has no instance ${id}`);
    this.aws.setState(id, 'shutting-down');
    this.aws.passages.set(id, { to: 'terminated', atMs: this.aws.clock.nowMs() });
    this.aws.probes.delete(id);
  }

  /** Instances that a workflow launched, whatever became of them. */
  launched(): readonly Instance[] {
    return [...this.aws.instances.values()].filter((i) => i.tags[INCIDENT_TAG] !== undefined);
  }

  serving(): readonly string[] {
    return [...this.aws.instances.values()].filter((i) => i.state === 'running' && this.#serves(i.id)).map((i) => i.id);
  }

  stateUuidOf(id: string): string | null {
    return this.#statusOf(id)?.stateUuid ?? null;
  }

  record(incident: string): readonly string[] {
    return [...(this.aws.incidents.get(`${this.spec.name}/${incident}`)?.values() ?? [])].map(
      (e) => `${e.what}: ${e.why}`,
    );
  }

  killAt(kill: Kill): void {
    this.#kill = kill;
  }

  /** `input` as Step Functions hands it over: what a person wrote may lack much of it. */
  async run<S extends Carried>(
    definition: Definition,
    capability: Capability<S>,
    input: Partial<RecoveryInput> | Readonly<Record<string, unknown>>,
    execution = EXECUTION,
  ): Promise<Run> {
    if (execution === EXECUTION) this.calls = 0;
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

  #before(call: FakeCall): void {
    if (this.#dead) throw new Error(`${call.operation}: the process is dead`);
    this.calls += 1;
    this.#numbers.set(call, this.calls);
    this.#maybeKill(call, 'before');
    this.beforeCall(call);
  }

  async #after(call: FakeCall): Promise<void> {
    if (call.operation === 'ReconcileRequests.send') this.#reconcile();
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

  #statusOf(id: string): GaleraStatus | null {
    const found = this.aws.probes.get(id);
    const probe = typeof found === 'function' ? found(this.aws.clock.nowMs()) : found;
    return probe?.kind === 'answered' && probe.status.engine === 'galera' ? probe.status : null;
  }

  #serves(id: string): boolean {
    if (this.postgres !== null) return this.postgres.serves(id);
    const status = this.#statusOf(id);
    return status !== null && serves(status);
  }

  #reconcile(): void {
    if (!this.reconciles) return;
    const { claim, writer } = this.ledger();
    const leaving = claim?.mode === 'roll' && claim.joiner === null ? claim.node : null;
    for (const i of this.aws.instances.values()) {
      const state = i.state === 'running' && this.#serves(i.id) ? 'healthy' : 'unused';
      if (i.id !== leaving) this.aws.setTarget(READER_GROUP, i.id, this.spec.engine.port, state);
    }
    if (leaving !== null) this.#drain(leaving);
    if (leaving !== null && leaving === writer && this.postgres === null) {
      const next = this.serving().find((id) => id !== leaving);
      if (next !== undefined) {
        this.setLedger({ writer: next });
        this.aws.setTarget(WRITER_GROUP, next, this.spec.engine.port, 'healthy');
      }
    }
    this.postgres?.upkeep(leaving);
  }

  /** With the declared delay, as for a node in maintenance. */
  #drain(id: string): void {
    for (const group of this.aws.targetGroups.values()) {
      const key = `${id}:${this.spec.engine.port}`;
      const there = group.targets.get(key);
      if (there === undefined || there.goneAtMs !== undefined) continue;
      const goneAtMs = this.aws.clock.nowMs() + group.drainSeconds * 1000;
      group.targets.set(key, { ...there, state: 'draining', goneAtMs });
    }
  }

  #scripts(): void {
    for (const [document, play] of this.aws.scripts) {
      this.aws.scripts.set(document, (id, parameters) => this.fails(document, id, parameters) ?? play(id, parameters));
    }
    if (this.postgres !== null) return;
    const script = (
      document: string,
      act: (id: string, parameters: Readonly<Record<string, string>>) => CommandState,
    ): void => {
      this.aws.scripts.set(document, (id, parameters) => [
        { kind: 'running' },
        this.fails(document, id, parameters) ?? act(id, parameters),
      ]);
    };
    script('galera-prepare', () => ok());
    script('galera-join', (id) => {
      this.#joins(id);
      return ok();
    });
    script('galera-stop', (id) => {
      this.dies(id);
      return ok();
    });
    script('galera-position', (id) => ok(JSON.stringify(this.positions.get(id) ?? { running: true })));
    script('galera-bootstrap', (id, { NewHistory }) => {
      if (NewHistory === 'yes') this.#stateUuid = NEW_STATE_UUID;
      const stateUuid = this.#stateUuid;
      this.says(id, (atMs) => answered(aStatus({ nodeName: id, clusterSize: 1, stateUuid }), atMs));
      return ok();
    });
  }

  #joins(id: string): void {
    if (this.#serves(id)) return;
    const fromMs = this.aws.clock.nowMs();
    this.says(id, (atMs) => {
      const forMs = atMs - fromMs;
      if (forMs < this.refusesMs) return { kind: 'refused', atMs, tookMs: 1, detail: 'test' };
      if (forMs < this.joinsMs) return answered(aStatus({ nodeName: id, state: 'Joining', ready: false }), atMs);
      return answered(aStatus({ nodeName: id, stateUuid: this.#stateUuid }), atMs);
    });
  }
}
