/**
 * The state that all fakes share: a small AWS in memory. Deterministic: ids are counted, time is the fake clock's. Every
 * operation of every port passes `call`, where a test can look on, delay it or make it fail before or after its effect.
 */
import type { LaunchTurn } from '../../lambdas/model/launch-turn.ts';
import { everyMs, farMs, latestMs, waitMs } from '../../lambdas/model/launch-turn.ts';
import type { CommandState, DbCredentials, PostgresAdmin } from '../../lambdas/cloud/ports.ts';
import type { ClusterLedger, FleetBrake, FleetFailure, IncidentEntry } from '../../lambdas/model/ledger.ts';
import { RELEASED_BRAKE } from '../../lambdas/model/ledger.ts';
import type { RecoveryInput } from '../../lambdas/model/recovery.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import { CLUSTER_TAG } from '../../lambdas/model/spec.ts';
import type { ExecutionState, Instance, InstanceState, Probe, Target, TargetState } from '../../lambdas/model/view.ts';
import type { Volume } from '../../lambdas/model/volume.ts';
import { FakeClock } from './clock.ts';

/** `Port.method`, such as `Instances.launch`, with the arguments it was called with. */
export interface FakeCall {
  readonly operation: string;
  readonly args: readonly unknown[];
  readonly atMs: number;
}

/** May throw (the call fails) or take its time (`aws.clock.sleep`). */
export type Hook = (call: FakeCall) => void | Promise<void>;

export class FakeAwsError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

export interface FakeTargetGroup {
  readonly targets: Map<string, Target & { readonly goneAtMs?: number }>;
  drainSeconds: number;
  endsConnections: boolean;
}

export interface FakeDnsRecord {
  values: readonly string[];
  ttlSeconds: number | null;
  owner: string | null;
}

export interface FakeExecution {
  readonly arn: string;
  readonly name: string;
  readonly input: RecoveryInput;
  state: ExecutionState;
}

/** An instance on its way from one state to another. */
export interface Passage {
  readonly to: InstanceState;
  readonly atMs: number;
}

/** What a script does when it starts; the states are what polling finds one after the other, the last one stays. */
export type ScriptedCommand = (
  instanceId: string,
  parameters: Readonly<Record<string, string>>,
) => CommandState | readonly [CommandState, ...CommandState[]];

/** By id, and by the cluster that they are tagged for: a fleet has many. */
class FakeInstanceMap extends Map<string, Instance> {
  readonly #clusters = new Map<string, Map<string, Instance>>();

  override set(id: string, instance: Instance): this {
    const cluster = instance.tags[CLUSTER_TAG];
    const before = this.get(id)?.tags[CLUSTER_TAG];
    if (before !== undefined && before !== cluster) this.#clusters.get(before)?.delete(id);
    if (cluster !== undefined) {
      const members = this.#clusters.get(cluster) ?? new Map<string, Instance>();
      this.#clusters.set(cluster, members.set(id, instance));
    }
    return super.set(id, instance);
  }

  override delete(id: string): boolean {
    this.#clusters.get(this.get(id)?.tags[CLUSTER_TAG] ?? '')?.delete(id);
    return super.delete(id);
  }

  override clear(): void {
    this.#clusters.clear();
    super.clear();
  }

  of(cluster: string): readonly Instance[] {
    return [...(this.#clusters.get(cluster)?.values() ?? [])];
  }
}

export class FakeAws {
  readonly clock: FakeClock;
  /** Every call so far, the failed ones too. */
  readonly calls: FakeCall[] = [];
  /** Runs before the effect: a throw means that AWS never did it. */
  before: Hook | null = null;
  /** Runs after the effect: a throw means that AWS did it and the caller does not know. */
  after: Hook | null = null;

  /** Cluster name to what its parameter holds: a text as it is, any other value as JSON. */
  readonly specs = new Map<string, unknown>();
  readonly subnets = new Map<string, string>();
  /** By launch template id: which version is the default one, and how many there are. */
  readonly templates = new Map<string, { readonly default: number; readonly latest: number }>();
  readonly instances = new FakeInstanceMap();
  readonly passages = new Map<string, Passage>();
  readonly launches = new Map<string, string>();
  readonly volumes = new Map<string, Volume>();
  readonly targetGroups = new Map<string, FakeTargetGroup>();
  /** Zone id → name → record. */
  readonly zones = new Map<string, Map<string, FakeDnsRecord>>();
  readonly ledgers = new Map<string, ClusterLedger>();
  readonly incidents = new Map<string, Map<string, IncidentEntry>>();
  readonly failures = new Map<string, FleetFailure>();
  brake: FleetBrake = RELEASED_BRAKE;
  brakeReleasedBy: string | null = null;
  /** When all launches of the account that may be begun at once are there again. */
  launchesFullAtMs = 0;
  readonly executions = new Map<string, FakeExecution>();
  readonly requests: { readonly cluster: string; readonly cause: string; readonly atMs: number }[] = [];
  readonly delayedRequests: { readonly cluster: string; readonly cause: string; readonly dueAtMs: number }[] = [];
  /** What a script does on a host, by the document's short name. */
  readonly scripts = new Map<string, ScriptedCommand>();
  /** Hosts whose SSM agent does not answer, though they run. */
  readonly offline = new Set<string>();
  readonly secrets = new Map<string, DbCredentials>();
  /** What a probe of an instance finds; without an entry nobody answers. */
  readonly probes = new Map<string, Probe | ((atMs: number) => Probe)>();
  /** The PostgreSQL nodes behind `fakeCloud().admin`; null: none answers. */
  postgres: PostgresAdmin | null = null;
  /** The archive's bucket: key to bytes; and uploads that are neither completed nor ended. */
  readonly objects = new Map<string, Uint8Array>();
  readonly uploads = new Map<string, { readonly key: string; readonly parts: Map<number, Uint8Array> }>();
  /** By `<cluster>#<what>`. */
  readonly leases = new Map<string, { readonly holder: string; readonly untilMs: number }>();
  readonly published: { readonly subject: string; readonly body: string }[] = [];

  /** How long EC2 takes, milliseconds. */
  bootMs = 0;
  stopMs = 0;
  terminateMs = 0;
  /** Devices of the launch template. */
  templateDevices: readonly { readonly device: string; readonly deleteOnTermination: boolean }[] = [
    { device: '/dev/sda1', deleteOnTermination: true },
    { device: '/dev/sdf', deleteOnTermination: false },
  ];
  /** State of a target just registered. */
  registeredState: TargetState = 'initial';

  #counter = 0;

  constructor(clock = new FakeClock()) {
    this.clock = clock;
  }

  /** One operation: recorded, hooked, and its effect applied in one piece. */
  async call<T>(operation: string, args: readonly unknown[], effect: () => T): Promise<T> {
    const call: FakeCall = { operation, args, atMs: this.clock.nowMs() };
    this.calls.push(call);
    await this.before?.(call);
    const result = effect();
    await this.after?.(call);
    return result;
  }

  /** Makes the next `times` calls of an operation fail, after which the hook that was there is back. */
  failNext(operation: string, error: Error, options: { times?: number; when?: 'before' | 'after' } = {}): void {
    const when = options.when ?? 'before';
    const previous = this[when];
    let left = options.times ?? 1;
    this[when] = async (call) => {
      if (call.operation === operation && left > 0) {
        left -= 1;
        throw error;
      }
      await previous?.(call);
    };
  }

  callsOf(operation: string): readonly FakeCall[] {
    return this.calls.filter((c) => c.operation === operation);
  }

  nextNumber(): number {
    this.#counter += 1;
    return this.#counter;
  }

  /** `i-00000000000000001` and so on. */
  nextId(prefix: string): string {
    return `${prefix}-${this.nextNumber().toString(16).padStart(17, '0')}`;
  }

  /** Declares a cluster and everything that its specification names: subnets, target groups, zones, the secret. */
  addCluster(spec: ClusterSpec, credentials: DbCredentials = { user: 'rejoin', password: 'fake' }): void {
    this.specs.set(spec.name, spec);
    this.secrets.set(spec.credentialsSecretArn, credentials);
    if (!this.templates.has(spec.launchTemplate.id)) {
      this.templates.set(spec.launchTemplate.id, { default: 1, latest: 1 });
    }
    for (const subnet of spec.subnets) this.subnets.set(subnet.id, subnet.zone);
    for (const endpoint of spec.endpoints) {
      if (endpoint.kind === 'targetGroup') this.addTargetGroup(endpoint.arn);
      else this.addZone(endpoint.zoneId);
    }
  }

  addTargetGroup(arn: string): FakeTargetGroup {
    const group = this.targetGroups.get(arn) ?? { targets: new Map(), drainSeconds: 300, endsConnections: false };
    this.targetGroups.set(arn, group);
    return group;
  }

  addZone(zoneId: string): Map<string, FakeDnsRecord> {
    const zone = this.zones.get(zoneId) ?? new Map<string, FakeDnsRecord>();
    this.zones.set(zoneId, zone);
    return zone;
  }

  /** Puts an instance there; what is not given is filled in. Its volumes come into being too. */
  /** As `Ledger.takeLaunch`: others of the account take turns, too. */
  takeLaunch(turn: LaunchTurn): number | null {
    const { nowMs } = turn;
    const seenMs = this.launchesFullAtMs > farMs(turn) ? nowMs : Math.max(nowMs, this.launchesFullAtMs);
    if (seenMs > latestMs(turn)) return null;
    this.launchesFullAtMs = seenMs + everyMs(turn);
    return waitMs(turn, this.launchesFullAtMs);
  }

  addInstance(given: Partial<Instance> & { readonly cluster?: string }): Instance {
    const { cluster, ...rest } = given;
    const number = this.nextNumber();
    const instance: Instance = {
      id: `i-${number.toString(16).padStart(17, '0')}`,
      state: 'running',
      zone: 'eu-west-1a',
      subnetId: null,
      privateIp: `10.0.${Math.floor(number / 250)}.${(number % 250) + 4}`,
      launchedAtMs: this.clock.nowMs(),
      volumes: [],
      ...rest,
      tags: { ...(cluster === undefined ? {} : { [CLUSTER_TAG]: cluster }), ...rest.tags },
    };
    this.instances.set(instance.id, instance);
    for (const v of instance.volumes) {
      this.volumes.set(v.volumeId, {
        id: v.volumeId,
        state: 'in-use',
        zone: instance.zone,
        tags: instance.tags,
        attachedTo: instance.id,
        device: v.device,
      });
    }
    return instance;
  }

  /** Changes what EC2 says of an instance, at once. */
  setState(id: string, state: InstanceState): void {
    const instance = this.instances.get(id);
    if (instance === undefined) throw new Error(`no fake instance ${id}; add it with addInstance`);
    this.passages.delete(id);
    // EC2 counts the time of launch anew for a stopped instance that is started.
    const started = ['stopped', 'stopping'].includes(instance.state) && ['pending', 'running'].includes(state);
    const launchedAtMs = started ? this.clock.nowMs() : instance.launchedAtMs;
    this.instances.set(id, { ...instance, state, launchedAtMs });
  }

  setTarget(groupArn: string, id: string, port: number, state: TargetState): void {
    this.addTargetGroup(groupArn).targets.set(`${id}:${port}`, { id, port, state });
  }

  endExecution(arn: string, state: ExecutionState): void {
    const execution = this.executions.get(arn);
    if (execution === undefined) throw new Error(`no fake execution ${arn}`);
    execution.state = state;
  }
}
