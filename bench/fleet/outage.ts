/**
 * (b) A zone goes, and with it a node of every cluster (two of every tenth, which has five). The real code of watch, signals,
 * reconcile, operate and of the replacement's steps, in virtual time, behind AWS's token buckets.
 *
 * Emulated: EC2 says at once that the nodes are terminated, and its events come within 5 s; the survivors of a cluster cast the dead
 * out after 5 s; a balancer checks each target every 10 s and takes it out after two failures (an NLB with no healthy target sends on to all,
 * so that a dead writer is sent to until it is deregistered). A person releases the brake when it has been engaged for a minute. Each
 * replacement is followed until its launch.
 */
import { ratesOf, signalsRatesOf, Turns } from '../../lambdas/cloud/pace.ts';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import { operate } from '../../lambdas/operate/operate.ts';
import { reconcileBatch } from '../../lambdas/reconcile/batch.ts';
import { runStep, type StepEvent } from '../../lambdas/recovery/step.ts';
import { replacement } from '../../lambdas/replace/steps.ts';
import { Memory } from '../../lambdas/signals/memory.ts';
import { receive, type SignalRecord } from '../../lambdas/signals/receive.ts';
import { Watch } from '../../lambdas/watch/watch.ts';
import { SIGNALS_ENVIRONMENTS } from '../../lib/capabilities/signals.ts';
import { replaceDefinition } from '../../lib/workflows/replace.ts';
import { instanceStateChange } from '../../rehearsal/cloud/event-samples.ts';
import type { Account } from '../../simulator/aws/account.ts';
import { SimClock } from '../../simulator/clock.ts';
import { Random } from '../../simulator/random.ts';
import { answered, aStatus, type FakeExecution } from '../../test/fakes/index.ts';
import { runMachine } from '../../test/support/asl.ts';
import { Mapping } from './mapping.ts';
import { PLACE } from './messages.ts';
import { type Quota, limitsWith } from './quotas.ts';
import { SCHEDULE } from './steady.ts';
import { figureOf, type OutageFigure } from './outage-figure.ts';
import { throttled } from './throttle.ts';
import { aFleet, type Fleet, type Request } from './world.ts';

const ZONE = 'eu-west-1a';
const FIVE_NODES_EVERY = 10;
const CHECK_EVERY_MS = 10_000;
const FAILED_CHECKS = 2;
const CAST_OUT_MS = 5000;
const EVENTS_WITHIN_MS = 5000;
const PROBE_DEADLINE_MS = 1000;
const WARM_UP_MS = 20_000;
const PERSON_AFTER_MS = 60_000;
const ROUND_MS = 60_000;
const SIGNALS_VISIBILITY_MS = 180_000;
const RECONCILE_VISIBILITY_MS = 30_000;
const SECOND_MS = 1000;
/** What is done for a replacement after its launch is not followed. */
const FOLLOWED: readonly string[] = ['Claim', 'Fence', 'Launch'];

export interface OutageOptions {
  readonly clusters: number;
  readonly seed: number;
  /** With how many environments of reconcile there may be at once (the mapping's maximum concurrency). */
  readonly quota: Quota;
  /** Of virtual time, at most. */
  readonly seconds: number;
  readonly told: (line: string) => void;
}

class Outage {
  readonly clock = new SimClock();
  readonly random: Random;
  readonly fleet: Fleet;
  readonly throttle: Account;
  readonly dead: ReadonlySet<string>;
  readonly #signals: SignalRecord[] = [];
  readonly #reading: Mapping<SignalRecord>;
  readonly #reconciling: Mapping<Request>;
  readonly #begun = new Set<string>();
  readonly definition = replaceDefinition({ functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:replace' });
  startedMs = 0;
  reconciles = 0;
  #messages = 0;
  /** By `<group> <node>`, when traffic left it. */
  readonly offMs = new Map<string, number>();
  readonly launches: { readonly cluster: string; readonly atMs: number }[] = [];
  engagedMs: number | null = null;
  releasedMs: number | null = null;

  constructor({ clusters, seed, quota }: OutageOptions) {
    this.random = new Random(seed);
    this.fleet = aFleet(clusters, this.clock, (n) => ({ nodes: n % FIVE_NODES_EVERY === 0 ? 5 : 3, firstZone: n % 3 }));
    const { aws, requests } = this.fleet;
    this.dead = new Set([...aws.instances.values()].filter((i) => i.zone === ZONE).map((i) => i.id));
    this.throttle = throttled(this.fleet, this.clock, this.random, limitsWith(quota));
    const signalsRates = signalsRatesOf({ ...quota, environments: SIGNALS_ENVIRONMENTS });
    const readers = Array.from({ length: SIGNALS_ENVIRONMENTS }, (_, n) => ({
      memory: new Memory(`environment-${n}`),
      ports: { ...this.fleet.ports, pace: new Turns(this.clock, signalsRates) },
    }));
    const source = {
      take: (most: number) => this.#signals.splice(0, most),
      finish: (batch: readonly SignalRecord[], failed: readonly string[]) => {
        for (const r of batch.filter((one) => failed.includes(one.messageId)))
          this.clock.in(SIGNALS_VISIBILITY_MS, () => this.#arrive(r));
      },
    };
    this.#reading = new Mapping(
      this.clock,
      source,
      (batch, environment) => {
        const { memory, ports } = readers[environment] as (typeof readers)[number];
        return receive(batch, ports, memory);
      },
      SIGNALS_ENVIRONMENTS,
    );
    const groups = {
      take: (most: number) => requests.take(most),
      finish: (batch: readonly Request[], failed: readonly string[]) =>
        requests.finish(batch, failed, (again) => this.clock.in(RECONCILE_VISIBILITY_MS, again)),
    };
    const rates = ratesOf(quota);
    const { environments } = quota;
    const warm = Array.from({ length: environments }, () => ({
      looks: new Map<string, number>(),
      putOffs: new Map<string, number>(),
      ports: { ...this.fleet.ports, pace: new Turns(this.clock, rates) },
    }));
    this.#reconciling = new Mapping(
      this.clock,
      groups,
      (batch, environment) => {
        this.reconciles += new Set(batch.map((r) => r.cluster)).size;
        const { looks, putOffs, ports } = warm[environment] as (typeof warm)[number];
        return reconcileBatch(batch, ports, looks, putOffs);
      },
      environments,
    );
    requests.onArrival = () => this.#reconciling.kick();
    requests.onDelayed = (cluster, delaySeconds, cause) =>
      this.clock.in(delaySeconds * SECOND_MS, () =>
        this.signal(cause, { source: 'rejoin', detailType: 'Reconcile Due', detail: { cluster, cause } }),
      );
    aws.after = (call) => this.#see(call.operation, call.args);
  }

  /** An event in the queue `signals`. */
  signal(id: string, event: { readonly source: string; readonly detailType: string; readonly detail: unknown }): void {
    const body = { version: '0', id, source: event.source, 'detail-type': event.detailType, detail: event.detail };
    this.#messages += 1;
    const attributes = { SentTimestamp: String(this.clock.nowMs()) };
    this.#arrive({ messageId: `s${this.#messages}`, body: JSON.stringify(body), attributes });
  }

  #arrive(record: SignalRecord): void {
    this.#signals.push(record);
    this.#reading.kick();
  }

  get environments(): OutageFigure['environments'] {
    return { signals: this.#reading.peak, reconcile: this.#reconciling.peak };
  }

  #see(operation: string, args: readonly unknown[]): void {
    const nowMs = this.clock.nowMs();
    const { aws } = this.fleet;
    if (operation === 'TargetGroups.deregister') {
      const [arn, targets] = args as [string, readonly { readonly id: string }[]];
      for (const { id } of targets) this.#off(arn, id);
    }
    if (operation === 'Ledger.engageBrake' && this.engagedMs === null) {
      this.engagedMs = nowMs;
      this.clock.in(PERSON_AFTER_MS, () => void this.#release());
    }
    if (operation === 'Instances.launch')
      this.launches.push({ cluster: (args[0] as { readonly cluster: string }).cluster, atMs: nowMs });
    if (operation === 'Workflows.start')
      for (const execution of aws.executions.values())
        if (!this.#begun.has(execution.arn)) {
          this.#begun.add(execution.arn);
          void this.#replace(execution);
        }
  }

  #off(group: string, id: string): void {
    const key = `${group} ${id}`;
    if (this.dead.has(id) && !this.offMs.has(key)) this.offMs.set(key, this.clock.nowMs());
  }

  /** A person asks until AWS answers. */
  async #release(): Promise<void> {
    let n = 0;
    const ports = { ...this.fleet.ports, unique: () => `${(n += 1)}` };
    for (;;) {
      try {
        this.releasedMs ??= this.clock.nowMs();
        await operate({ action: 'release-brake', by: 'a person' }, ports);
        return;
      } catch (error) {
        if (!(error instanceof CloudUnavailable)) throw error;
        await this.clock.sleep(SECOND_MS);
      }
    }
  }

  async #replace(execution: FakeExecution): Promise<void> {
    const ports = { ...this.fleet.ports, bucketName: 'rejoin-archive' };
    const invoke = async (payload: unknown): Promise<unknown> => {
      const event = payload as StepEvent;
      if (!FOLLOWED.includes(event.step)) return new Promise(() => undefined);
      return runStep(replacement, event as never, ports as never);
    };
    const machine = { definition: this.definition, executionArn: execution.arn, clock: this.clock, invoke };
    const { status } = await runMachine(machine, execution.input);
    execution.state = status;
    const detail = { executionArn: execution.arn, status, input: JSON.stringify(execution.input) };
    this.signal(`ended-${execution.arn}`, {
      source: 'aws.states',
      detailType: 'Step Functions Execution Status Change',
      detail,
    });
  }

  /** Nodes that writes went to. */
  deadWriters = 0;

  /** The zone goes. */
  strike(): void {
    this.startedMs = this.clock.nowMs();
    const { aws } = this.fleet;
    this.deadWriters = [...aws.ledgers.values()].filter((l) => this.dead.has(l.writer ?? '')).length;
    for (const id of this.dead) {
      aws.setState(id, 'terminated');
      aws.probes.set(id, (atMs) => ({ kind: 'unreachable', atMs, tookMs: PROBE_DEADLINE_MS, detail: 'no answer' }));
      const event = instanceStateChange(PLACE, id, 'terminated');
      this.clock.in(this.random.int(0, EVENTS_WITHIN_MS), () => this.signal(`terminated-${id}`, event));
    }
    for (const [arn, group] of aws.targetGroups)
      for (const t of group.targets.values()) if (this.dead.has(t.id)) this.#failChecks(arn, t.id, t.port);
    this.clock.in(CAST_OUT_MS, () => this.#castOut());
  }

  #failChecks(arn: string, id: string, port: number): void {
    const foundMs = this.random.int(0, CHECK_EVERY_MS) + CHECK_EVERY_MS * (FAILED_CHECKS - 1);
    this.clock.in(foundMs, () => {
      const there = this.fleet.aws.targetGroups.get(arn)?.targets;
      if (there?.get(`${id}:${port}`)?.state !== 'healthy') return;
      this.fleet.aws.setTarget(arn, id, port, 'unhealthy');
      if ([...there.values()].some((t) => t.state === 'healthy')) this.#off(arn, id);
    });
  }

  #castOut(): void {
    const { aws, nodes } = this.fleet;
    for (const of of Map.groupBy(nodes, (n) => n.cluster).values()) {
      const left = of.filter((n) => !this.dead.has(n.id));
      const members = left.flatMap((n) => aws.instances.get(n.id)?.privateIp ?? []);
      for (const { id } of left) {
        const status = aStatus({ nodeName: id, members, clusterSize: members.length, viewId: 4 });
        aws.probes.set(id, (atMs) => answered(status, atMs));
      }
    }
  }

  /** Clusters that have their first replacement. */
  get helped(): number {
    return new Set(this.launches.map((l) => l.cluster)).size;
  }

  get isOver(): boolean {
    return this.releasedMs !== null && this.helped >= this.fleet.size;
  }
}

/** Runs the outage to the last launch, or for as long as is given. */
export async function outage(options: OutageOptions): Promise<OutageFigure> {
  const { clusters, seconds, told, quota } = options;
  const before = process.cpuUsage();
  const o = new Outage(options);
  const { clock, fleet } = o;
  const watch = new Watch(fleet.ports, { ...SCHEDULE, containerId: 'bench' });
  void (async () => {
    for (;;) await watch.run(clock.nowMs() + ROUND_MS).catch((error: unknown) => told(String(error)));
  })();
  await clock.run(clock.nowMs() + WARM_UP_MS);
  o.throttle.forget();
  o.reconciles = 0;
  o.strike();
  while (!o.isOver && clock.nowMs() - o.startedMs < seconds * SECOND_MS) {
    await clock.run(clock.nowMs() + ROUND_MS / 2, () => o.isOver);
    fleet.aws.calls.splice(0);
    const secondsIn = Math.round((clock.nowMs() - o.startedMs) / SECOND_MS);
    told(`outage of ${clusters} clusters: ${secondsIn} s, ${o.helped} have a replacement`);
  }
  const { user, system } = process.cpuUsage(before);
  return { ...figureOf(o), quota, cpuSeconds: (user + system) / 1e6 };
}
