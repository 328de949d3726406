/** One cluster, the AWS it lives in, and the control plane that looks after it. */
import type { DbTarget, LaunchRequest } from '../lambdas/cloud/ports.ts';
import type { ClusterLedger } from '../lambdas/model/ledger.ts';
import { EMPTY_LEDGER } from '../lambdas/model/ledger.ts';
import { CLUSTER_TAG } from '../lambdas/model/spec.ts';
import type { ClusterSpec } from '../lambdas/model/spec.ts';
import type { Instance, InstanceState } from '../lambdas/model/view.ts';
import { FakeAws, FakeInstances, READER_GROUP, WRITER_GROUP, fakeCloud, healthyCluster } from '../test/fakes/index.ts';
import type { FakeCloud } from '../test/fakes/index.ts';
import type { Actor } from './actor.ts';
import type { SimArchive } from './archive/archive.ts';
import { archiveOf } from './archive/sides.ts';
import { Account } from './aws/account.ts';
import { LIMITS } from './aws/limits.ts';
import { Others } from './aws/others.ts';
import { Budget } from './rules/budget.ts';
import { SimClock } from './clock.ts';
import { Functions } from './functions.ts';
import { GaleraModel } from './galera/cluster.ts';
import { galeraSide } from './galera/side.ts';
import { Guard } from './guard.ts';
import { SimHosts } from './hosts.ts';
import { pairOf } from './pair.ts';
import { Plane } from './plane.ts';
import type { Intercept } from './plane.ts';
import { Queue, SimRequests } from './queues.ts';
import { Random } from './random.ts';
import type { Database, EngineName, Side } from './side.ts';
import { postgresSide } from './postgres/side.ts';
import { postgresSpec } from './postgres/spec.ts';
import { Story } from './story.ts';
import { Surroundings } from './surroundings.ts';
import { Unattended } from './rules/unattended.ts';
import { CALM } from './weather.ts';
import type { Weather } from './weather.ts';
import { addStrangers } from './strangers.ts';

/** EC2's RunInstances, which may have no room. */
class SimInstances extends FakeInstances {
  readonly #world: World;
  constructor(world: World) {
    super(world.aws);
    this.#world = world;
  }

  override launch(request: LaunchRequest): Promise<Instance> {
    const { random, weather, aws, downZones } = this.#world;
    const zone = aws.subnets.get(request.subnetId);
    // A token that EC2 knows is answered with what it launched, whether there is room by now or not.
    if (aws.launches.has(request.clientToken)) return super.launch(request);
    if (downZones.has(zone ?? '') || random.chance(weather.launchFails / 2)) {
      const error = new Error(`no room in ${zone ?? request.subnetId}`);
      return Promise.reject(Object.assign(error, { name: 'InsufficientInstanceCapacity' }));
    }
    aws.bootMs = random.int(5000, weather.bootMaxMs);
    return super.launch(request);
  }
}

export class World {
  readonly random: Random;
  readonly clock = new SimClock();
  readonly aws = new FakeAws(this.clock);
  readonly engine: EngineName;
  readonly groups = { writer: WRITER_GROUP, healthy: READER_GROUP };
  readonly cloud: FakeCloud;
  readonly story = new Story(() => this.clock.nowMs());
  readonly side: Side;
  readonly guard = new Guard(this);
  readonly unattended = new Unattended(this);
  readonly budget = new Budget(this);
  /** What the account may ask of AWS, and who takes of it besides. */
  readonly account: Account;
  readonly others = new Others(this);
  readonly plane = new Plane(this);
  readonly functions = new Functions(this);
  readonly surroundings = new Surroundings(this);
  readonly signalsQueue: Queue;
  readonly archive: SimArchive | null;
  readonly reconcileQueue: Queue;
  weather: Weather = CALM;
  planeOn = true;
  /** The faults have stopped. */
  isCalm = false;
  /** Until then each reconcile has a twin whose calls are slow. */
  twinsUntilMs = 0;
  /** A person has looked and found no data on any host. */
  dataGone = false;
  intercept: Intercept | null = null;
  /** Hosts that the plane cannot reach; hosts that their peers cannot reach; hosts without an SSM agent. */
  readonly unseen = new Set<string>();
  readonly isolated = new Set<string>();
  readonly mute = new Set<string>();
  /** Pairs of hosts that cannot reach each other (`pairOf`). */
  readonly cutPairs = new Set<string>();
  readonly startedByHand = new Set<string>();
  readonly downZones = new Set<string>();

  constructor(seed: number, engine: EngineName, archive = false) {
    this.random = new Random(seed);
    this.account = new Account(this.clock, this.random, LIMITS);
    this.account.onRefused = (api) => this.budget.refused(api);
    this.engine = engine;
    this.side = engine === 'galera' ? galeraSide(this) : postgresSide(this, postgresSpec(seed, archive));
    const requests = new SimRequests(this);
    const others = {
      instances: new SimInstances(this),
      hosts: new SimHosts(this),
      prober: this.side.prober,
      requests,
      ...(this.side.admin === null ? {} : { admin: this.side.admin }),
    };
    this.cloud = { ...fakeCloud(this.aws), ...others } as unknown as FakeCloud;
    this.signalsQueue = new Queue(this, 'signals', 180_000, (batch) => this.functions.signals(batch));
    this.reconcileQueue = new Queue(this, 'reconcile', 30_000, (batch) => this.functions.reconcile(batch));
    this.side.found(healthyCluster(this.aws, this.spec));
    addStrangers(this);
    this.aws.bootMs = 20_000;
    this.aws.stopMs = 4000;
    this.aws.terminateMs = 6000;
    this.surroundings.begin();
    this.archive = archive ? archiveOf(this, seed) : null;
    this.archive?.begin();
  }

  get spec(): ClusterSpec {
    return this.side.spec;
  }

  get database(): Database {
    return this.side.database;
  }

  /** The model of Galera. @throws Error when the cluster is of another engine. */
  get galera(): GaleraModel {
    if (this.side.database instanceof GaleraModel) return this.side.database;
    throw new Error(`the world's engine is ${this.engine}, expected galera`);
  }

  ledger(): ClusterLedger {
    return this.aws.ledgers.get(this.spec.name) ?? EMPTY_LEDGER;
  }

  instancesOf = (): readonly Instance[] =>
    [...this.aws.instances.values()].filter((i) => i.tags[CLUSTER_TAG] === this.spec.name);

  /** Does the network carry packets between the two hosts. */
  reach(a: string, b: string): boolean {
    return (
      !this.isolated.has(a) && !this.isolated.has(b) && !(this.cutPairs.size > 0 && this.cutPairs.has(pairOf(a, b)))
    );
  }

  hostRuns(id: string): boolean {
    const i = this.aws.instances.get(id);
    return i?.state === 'running' && !this.downZones.has(i.zone);
  }

  volumeOf(id: string): string | null {
    return this.aws.instances.get(id)?.volumes.find((v) => v.device === this.spec.dataDevice)?.volumeId ?? null;
  }

  addressOf(id: string): string | null {
    return this.aws.instances.get(id)?.privateIp ?? null;
  }

  idAt(address: string): string | null {
    return this.instancesOf().find((i) => i.privateIp === address)?.id ?? null;
  }

  /** Targets that the balancer may send connections to. */
  routed(which: 'writer' | 'healthy'): readonly string[] {
    const targets = this.aws.targetGroups.get(this.groups[which])?.targets.values() ?? [];
    return [...targets].filter((t) => t.state !== 'draining').map((t) => t.id);
  }

  isForeign = (id: string): boolean => {
    const i = this.aws.instances.get(id);
    return i !== undefined && i.tags[CLUSTER_TAG] !== this.spec.name;
  };

  /** An event on its way to the queue `signals`: late, lost, doubled or broken. */
  emit(source: string, detailType: string, detail: object): void {
    const { random, weather } = this;
    if (random.chance(weather.eventLost)) return;
    const event = { version: '0', id: `event-${this.aws.nextNumber()}`, source, 'detail-type': detailType, detail };
    const times = random.chance(weather.eventDoubled) ? 2 : 1;
    for (let i = 0; i < times; i += 1) {
      this.signalsQueue.send(JSON.stringify(event), null, random.int(100, 8000));
    }
    if (random.chance(weather.eventMalformed)) this.signalsQueue.send(JSON.stringify({ ...event, detail: 7 }), null);
  }

  /** What an act on AWS brings about. */
  consequences(actor: Actor, operation: string, args: readonly unknown[], value: unknown): void {
    const tell = (what: string): void => this.story.tell(actor.name, what);
    switch (operation) {
      case 'instances.stop':
        this.database.hostEnds(String(args[0]), 'stop');
        return tell(`stops ${String(args[0])}`);
      case 'instances.terminate':
        this.database.hostEnds(String(args[0]), 'terminate');
        return tell(`terminates ${String(args[0])}`);
      case 'instances.launch':
        return tell(
          `launches ${(value as Instance).id} for ${(args[0] as LaunchRequest).replaces ?? 'a missing place'}`,
        );
      case 'workflows.start':
        return this.functions.begin(String(value));
      case 'requests.send':
        return this.guard.requests.asked((args[0] as readonly { readonly cause: string }[]).map((r) => r.cause));
      case 'notifications.publish':
        return tell(`tells people: ${String(args[0])}`);
      case 'admin.detach':
      case 'admin.follow':
      case 'admin.setSync':
      case 'admin.promote': {
        const [target, , ...others] = args;
        return tell(
          `${operation} ${(target as DbTarget).instanceId} ${others.map((a) => JSON.stringify(a)).join(' ')}`,
        );
      }
      case 'targetGroups.register':
      case 'targetGroups.deregister':
      case 'ledger.setWriter':
      case 'ledger.claim':
      case 'ledger.releaseClaim':
      case 'ledger.setEscalation':
      case 'ledger.engageBrake':
      case 'hosts.start':
      case 'volumes.attach':
      case 'volumes.detach':
      case 'volumes.delete':
        return tell(
          `${operation} ${args.map((a) => (typeof a === 'string' ? a.replace(/^arn.*?(targetgroup|execution)./, '') : JSON.stringify(a))).join(' ')}`,
        );
      default:
        return;
    }
  }

  setState(id: string, state: InstanceState): void {
    this.aws.setState(id, state);
  }
}
