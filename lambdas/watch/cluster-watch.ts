/**
 * The watch over one cluster: who its nodes are, and a probe of each as often as configured. What it remembers may vanish
 * with its container; the ledger's suspicions and the sweep carry over.
 */
import type { DbCredentials } from '../cloud/ports.ts';
import { REPLACES_TAG } from '../model/spec.ts';
import type { ClusterSpec } from '../model/spec.ts';
import { isProbeSuspicion } from '../model/suspicion.ts';
import type { Instance } from '../model/view.ts';
import type { Losses } from './losses.ts';
import { newMemory, react } from './node-watch.ts';
import type { NodeMemory, Reaction } from './node-watch.ts';
import type { WatchConfig, WatchPorts } from './ports.ts';
import { Positions } from './positions.ts';
import { sweepSlot } from './sweep.ts';

/** A failing node is looked at more often, so that its failure is confirmed in time. */
const FAILING_INTERVAL_MS = 500;
/** A PostgreSQL primary is looked at as often when it is well: all writes wait until its failure is seen. */
const PRIMARY_INTERVAL_MS = 500;
/** A container that has not looked for longer than this was asleep while another watched. */
const AWAKE_MS = 120_000;

interface Watched {
  memory: NodeMemory;
  inFlight: boolean;
  dueAtMs: number;
  /** When it last answered this container. */
  wellAtMs: number;
  lagging: boolean;
}

export class ClusterWatch {
  readonly #cluster: string;
  readonly #ports: WatchPorts;
  readonly #config: WatchConfig;
  readonly #losses: Losses;
  #spec: ClusterSpec | null = null;
  #credentials: DbCredentials | null = null;
  #credentialsRefused = false;
  #states: ReadonlyMap<string, string> | null = null;
  #statesAtMs = Number.NEGATIVE_INFINITY;
  #instances: readonly Instance[] = [];
  readonly #nodes = new Map<string, Watched>();
  /** What the ledger said when this container first saw the cluster; each is used up by its node's first probe. */
  #suspectedSince: Map<string, number> | null = null;
  readonly #positions: Positions;
  /** The ledger's writer when this container first saw the cluster. */
  #writer: string | null = null;
  #sweptSlot: number | null = null;
  #asked = 0;
  /** Set when something changed, so that EC2 is asked again before the usual time. */
  stale = false;

  constructor(cluster: string, ports: WatchPorts, config: WatchConfig, losses: Losses) {
    this.#losses = losses;
    this.#cluster = cluster;
    this.#ports = ports;
    this.#config = config;
    this.#positions = new Positions(cluster, ports.ledger);
  }

  /**
   * Reads the cluster's instances and secret again. Nothing is changed when that fails: the old ones are probed on. `read`: where
   * the instances come from, when all clusters' are read at once.
   */
  async refresh(
    spec: ClusterSpec,
    read = (): Promise<readonly Instance[]> => this.#ports.instances.ofCluster(spec.name),
  ): Promise<void> {
    this.stale = false;
    this.#suspectedSince ??= await this.#readSuspicions();
    const [instances, credentials] = await Promise.all([
      read(),
      this.#ports.secrets.credentials(spec.credentialsSecretArn, { fresh: this.#credentialsRefused }),
    ]);
    this.#credentialsRefused = false;
    this.#spec = spec;
    this.#credentials = credentials;
    this.#instances = instances;
    this.#forgetTheGone();
    await this.#noticeStates(spec);
  }

  /** Probes that are due now, not waiting for any that is under way: probes of one node never stack. */
  dueProbes(nowMs: number): readonly Promise<void>[] {
    return this.#instances.filter(isProbed).flatMap((instance) => {
      const watched = this.#watched(instance.id, nowMs);
      if (watched.inFlight || watched.dueAtMs > nowMs) return [];
      return [this.#probe(instance, watched)];
    });
  }

  /** Writes to the ledger that are due now (PostgreSQL: the primary's position), beside the probes. */
  dueNotes(nowMs: number): readonly Promise<void>[] {
    return this.#spec?.engine.kind === 'postgres' ? this.#positions.due(nowMs) : [];
  }

  sweepIsDue(nowMs: number): boolean {
    return sweepSlot(this.#cluster, this.#config.sweepSeconds, nowMs) !== this.#sweptSlot;
  }

  /** Asks for a reconcile regardless, once in each slot. */
  async sweep(nowMs: number): Promise<void> {
    if (!this.sweepIsDue(nowMs)) return;
    const slot = sweepSlot(this.#cluster, this.#config.sweepSeconds, nowMs);
    const before = this.#sweptSlot;
    this.#sweptSlot = slot;
    try {
      await this.#ports.requests.send([{ cluster: this.#cluster, cause: `sweep-${this.#cluster}-${slot}` }]);
    } catch (error) {
      this.#sweptSlot = before;
      throw error;
    }
  }

  async #probe(instance: Instance, watched: Watched): Promise<void> {
    const spec = this.#spec;
    if (spec === null || this.#credentials === null || instance.privateIp === null) return;
    watched.inFlight = true;
    const startedAtMs = this.#ports.clock.nowMs();
    try {
      const { kind: engine, port, tls } = spec.engine;
      const target = { instanceId: instance.id, host: instance.privateIp, port, engine, tls };
      const probe = await this.#ports.prober.probe(target, this.#credentials);
      if (this.#nodes.get(instance.id) !== watched) return;
      if (probe.kind === 'rejected') this.#credentialsRefused = true;
      this.#positions.see(instance.id, probe);
      watched.lagging = this.#positions.isLagging(probe, spec, watched.lagging);
      const about = { engine, isLagging: watched.lagging };
      const reaction = react(watched.memory, probe, this.#ports.clock.nowMs(), about);
      if (reaction.memory.verdict !== watched.memory.verdict && watched.memory.verdict !== null) this.stale = true;
      // The suspicion first: the reconcile that is asked for has to find it. Memory last: what failed is done again.
      const memory = await this.#note(instance.id, watched, reaction);
      if (reaction.ask !== null) await this.#ask(instance.id, `${reaction.ask}: ${reaction.memory.verdict ?? ''}`);
      watched.memory = memory;
      if (memory.failingSinceMs === null) watched.wellAtMs = probe.atMs;
    } finally {
      watched.inFlight = false;
      watched.dueAtMs = startedAtMs + this.#intervalMs(watched.memory);
    }
  }

  #intervalMs({ failingSinceMs, primary }: NodeMemory): number {
    const { probeIntervalMs } = this.#config;
    if (failingSinceMs !== null) return Math.min(FAILING_INTERVAL_MS, probeIntervalMs);
    return primary ? Math.min(PRIMARY_INTERVAL_MS, probeIntervalMs) : probeIntervalMs;
  }

  /**
   * Writes the suspicion down, unless the ledger has an older one of the same trouble: invocations alternate between two
   * containers, and the one that takes over must not set the other's clock back. One that is older than the node's last
   * answer here is of another trouble.
   */
  async #note(id: string, watched: Watched, { memory, suspicion }: Reaction): Promise<NodeMemory> {
    if (suspicion === undefined) return memory;
    if (suspicion !== null) {
      const noted = (await this.#ports.ledger.read(this.#cluster)).cluster.suspicions[id];
      const same = noted !== undefined && isProbeSuspicion(noted) && noted.sinceMs > watched.wellAtMs;
      if (same && noted.sinceMs < suspicion.sinceMs) return { ...memory, failingSinceMs: noted.sinceMs };
    }
    await this.#ports.ledger.setSuspicion(this.#cluster, id, suspicion);
    return memory;
  }

  async #ask(node: string, why: string): Promise<void> {
    this.#asked += 1;
    // With the time: a cluster that is declared anew counts from one again, and SQS remembers a cause for five minutes.
    const cause = `watch-${this.#config.containerId}-${node}-${this.#ports.clock.nowMs()}-${this.#asked}`;
    this.#ports.log.info('asks for a reconcile', { cluster: this.#cluster, node, why, cause });
    await this.#ports.requests.send([{ cluster: this.#cluster, cause }]);
  }

  /** EC2 says something else of an instance than the last time, or too few are there at first sight. */
  async #noticeStates(spec: ClusterSpec): Promise<void> {
    const before = this.#states;
    const now = new Map(this.#instances.map((i) => [i.id, i.state]));
    const changed = before === null ? [] : this.#instances.filter((i) => before.get(i.id) !== i.state).map((i) => i.id);
    const forgotten =
      before === null ? [] : [...before].filter(([id, state]) => state !== 'terminated' && !now.has(id));
    const tooFew = before === null && this.#instances.filter(isProbed).length < spec.nodes;
    const nowMs = this.#ports.clock.nowMs();
    const ended = changed.filter((id) => before?.get(id) === 'running' && !STANDING.includes(now.get(id) ?? ''));
    if (ended.length > 0) await this.#noteEnded(ended, nowMs - this.#statesAtMs, nowMs);
    const which = [...changed, ...forgotten.map(([id]) => id)];
    if (which.length > 0) await this.#ask(which.join('+'), 'EC2 says otherwise than before');
    else if (tooFew) await this.#ask('capacity', `fewer than ${spec.nodes} instances run`);
    this.#states = now;
    this.#statesAtMs = nowMs;
  }

  /**
   * EC2 has ended them. Like a node that does not answer they are on the ledger before a reconcile is asked for, so that it knows whose look cannot
   * wait; and they count for the brake, but for those that a workflow or a person has in hand, or whose successor is there. What this container
   * has slept over was counted by the one that was awake.
   */
  async #noteEnded(ids: readonly string[], agoMs: number, nowMs: number): Promise<void> {
    const { claim, maintenance, suspicions } = (await this.#ports.ledger.read(this.#cluster)).cluster;
    for (const id of ids)
      if (suspicions[id] === undefined)
        await this.#ports.ledger.setSuspicion(this.#cluster, id, { sinceMs: nowMs, kind: 'stopped' });
    if (claim !== null || agoMs > AWAKE_MS) return;
    const succeeded = new Set(this.#instances.flatMap((i) => i.tags[REPLACES_TAG] ?? []));
    const lost = ids.filter((id) => id !== maintenance?.node && !succeeded.has(id));
    this.#losses.see(this.#cluster, lost, nowMs);
  }

  #watched(id: string, nowMs: number): Watched {
    const known = this.#nodes.get(id);
    if (known !== undefined) return known;
    const primary = this.#spec?.engine.kind === 'postgres' && id === this.#writer;
    const memory = newMemory(this.#suspectedSince?.get(id) ?? null, primary);
    this.#suspectedSince?.delete(id);
    const watched = { memory, inFlight: false, dueAtMs: nowMs, wellAtMs: Number.NEGATIVE_INFINITY, lagging: false };
    this.#nodes.set(id, watched);
    return watched;
  }

  #forgetTheGone(): void {
    const probed = new Set(this.#instances.filter(isProbed).map((i) => i.id));
    for (const id of this.#nodes.keys()) if (!probed.has(id)) this.#nodes.delete(id);
  }

  async #readSuspicions(): Promise<Map<string, number>> {
    const { cluster } = await this.#ports.ledger.read(this.#cluster);
    this.#writer = cluster.writer;
    const noted = Object.entries(cluster.suspicions).filter(([, s]) => isProbeSuspicion(s));
    return new Map(noted.map(([id, s]) => [id, s.sinceMs]));
  }
}

/** States of instances that are there, or are about to be. */
const STANDING: readonly string[] = ['pending', 'running'];

const isProbed = (i: Instance): boolean => i.state === 'running' && i.privateIp !== null;
