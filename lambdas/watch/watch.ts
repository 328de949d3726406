/**
 * Probes every node of every cluster, again and again, and asks for a reconcile when a verdict changes; so that with every
 * event lost the fleet still heals. It decides nothing: reconcile looks for itself.
 */
import { describeProblems } from '../model/spec.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';
import { ClusterWatch } from './cluster-watch.ts';
import { Losses } from './losses.ts';
import type { WatchConfig, WatchPorts } from './ports.ts';
import { Sweeps } from './sweeps.ts';

/** How often specifications and instances are read again when nothing happens. */
const REFRESH_MS = 20_000;
/** How often is looked what is due. */
const TICK_MS = 100;
/** After a change EC2 is asked again at once, but not more often than this. */
const REFRESH_SOON_MS = 2000;
/** In a large fleet less often: instances come a thousand a call, of which an account has 20 a second for all who ask. */
const REFRESH_SOON_MS_A_CLUSTER = 4;
/** What fails again and again for this long is a blindness that people must hear of; less is a hiccup. */
const BLIND_AFTER_MS = 15_000;

/** In a large fleet less often: specifications come ten a call, of which an account has 40 a second. */
const REFRESH_MS_A_CLUSTER = 10;
/** So many clusters' instances are read with a call each. */
const ONE_BY_ONE = 3;

interface Failing {
  readonly sinceMs: number;
  readonly times: number;
  readonly error: unknown;
}

export class Watch {
  readonly #ports: WatchPorts;
  readonly #config: WatchConfig;
  readonly #clusters = new Map<string, ClusterWatch>();
  readonly #running = new Set<Promise<void>>();
  #specs: readonly ClusterSpec[] = [];
  readonly #sweeps = new Sweeps();
  readonly #losses: Losses;
  #refreshing = false;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  /** By what was tried; without what has succeeded since. */
  readonly #failing = new Map<string, Failing>();

  constructor(ports: WatchPorts, config: WatchConfig) {
    this.#ports = ports;
    this.#config = config;
    this.#losses = new Losses(ports);
  }

  /**
   * Loops until the time has come, then waits for what is under way (a probe ends within its deadline of 2 s).
   * @throws Error at the end, when specifications, instances or requests have been failing: nobody else would tell that the
   *   watch sees nothing, and a failed invocation has an alarm.
   */
  async run(untilMs: number): Promise<void> {
    while (this.#ports.clock.nowMs() < untilMs) {
      const nowMs = this.#ports.clock.nowMs();
      if (this.#refreshIsDue(nowMs)) this.#track('every cluster', this.#refresh(nowMs), 'specifications');
      for (const [name, cluster] of this.#clusters) {
        for (const probe of cluster.dueProbes(nowMs)) this.#track(name, probe);
        for (const note of cluster.dueNotes(nowMs)) this.#track(name, note, `ledger of ${name}`);
        if (cluster.sweepIsDue(nowMs)) this.#sweeps.ask(name, nowMs);
      }
      this.#sweep(nowMs);
      this.#countLosses(nowMs);
      await this.#ports.clock.sleep(TICK_MS);
    }
    await Promise.all(this.#running);
    this.#sweeps.tell(this.#ports.clock.nowMs(), this.#ports);
    this.#tellOfBlindness();
  }

  #countLosses(nowMs: number): void {
    const nodes = this.#specs.reduce((sum, spec) => sum + spec.nodes, 0);
    const counted = this.#losses.due(nowMs, nodes);
    if (counted !== null) this.#track('every cluster', counted, 'record of losses');
  }

  #sweep(nowMs: number): void {
    for (const name of this.#sweeps.take(nowMs)) {
      const cluster = this.#clusters.get(name);
      if (cluster !== undefined) this.#track(name, cluster.sweep(nowMs), `requests for ${name}`);
    }
  }

  #tellOfBlindness(): void {
    const nowMs = this.#ports.clock.nowMs();
    const blind = [...this.#failing].filter(([, f]) => f.times > 1 && nowMs - f.sinceMs >= BLIND_AFTER_MS);
    if (blind.length === 0) return;
    const sentences = blind.map(
      ([what, f]) => `${what}, for ${Math.round((nowMs - f.sinceMs) / 1000)} s: ${String(f.error)}`,
    );
    throw new Error(`the watch cannot do its work: ${sentences.join('; ')}`);
  }

  #failed(what: string, error: unknown): void {
    const before = this.#failing.get(what);
    const sinceMs = before?.sinceMs ?? this.#ports.clock.nowMs();
    this.#failing.set(what, { sinceMs, times: (before?.times ?? 0) + 1, error });
  }

  get #refreshMs(): number {
    return Math.max(REFRESH_MS, this.#specs.length * REFRESH_MS_A_CLUSTER);
  }

  #refreshIsDue(nowMs: number): boolean {
    if (this.#refreshing) return false;
    const ageMs = nowMs - this.#refreshedAtMs;
    return (
      ageMs >= this.#refreshMs ||
      (ageMs >= Math.max(REFRESH_SOON_MS, this.#specs.length * REFRESH_SOON_MS_A_CLUSTER) &&
        [...this.#clusters.values()].some((c) => c.stale))
    );
  }

  /** Runs beside the probes: AWS being slow must not stop us from looking. */
  async #refresh(nowMs: number): Promise<void> {
    this.#refreshing = true;
    try {
      const whole = nowMs - this.#refreshedAtMs >= this.#refreshMs;
      this.#refreshedAtMs = nowMs;
      if (whole) this.#specs = await this.#readSpecs();
      for (const { name } of this.#specs)
        if (!this.#clusters.has(name))
          this.#clusters.set(name, new ClusterWatch(name, this.#ports, this.#config, this.#losses));
      const due = this.#specs.filter(({ name }) => whole || this.#clusters.get(name)?.stale === true);
      const read = due.length > ONE_BY_ONE ? this.#readAllAtOnce() : undefined;
      for (const spec of due) {
        const instances = read && (() => read(spec.name));
        const refreshed = this.#clusters.get(spec.name)?.refresh(spec, instances);
        if (refreshed !== undefined) this.#track(spec.name, refreshed, `instances of ${spec.name}`);
      }
    } finally {
      this.#refreshing = false;
    }
  }

  /** One listing for all who ask. EC2 allows 20 calls a second, and a fleet has more clusters than that. */
  #readAllAtOnce(): (cluster: string) => Promise<readonly Instance[]> {
    const all = this.#ports.instances.ofEveryCluster();
    all.catch(() => undefined); // whoever asks hears of it, and may come later
    return async (cluster) => (await all).get(cluster) ?? [];
  }

  async #readSpecs(): Promise<readonly ClusterSpec[]> {
    const listed = await this.#ports.specs.list();
    this.#forget(new Set(listed.map((l) => l.cluster)));
    for (const { cluster, result } of listed) {
      const what = `specification of ${cluster}`;
      if (result.ok) this.#failing.delete(what);
      if (result.ok) continue;
      this.#failed(what, describeProblems(cluster, result.problems));
      this.#ports.log.error(describeProblems(cluster, result.problems), { cluster });
      this.#ports.metrics.count('SpecsInvalid', 1, { cluster });
    }
    const specs = listed.flatMap(({ result }) => (result.ok ? [result.spec] : []));
    const names = new Set(specs.map((s) => s.name));
    for (const name of this.#clusters.keys()) if (!names.has(name)) this.#clusters.delete(name);
    return specs;
  }

  /** A cluster that is not declared any more cannot fail any more. */
  #forget(declared: ReadonlySet<string>): void {
    for (const what of this.#failing.keys()) {
      const cluster = / (?:of|for) (\S+)$/.exec(what)?.[1];
      if (cluster !== undefined && !declared.has(cluster)) this.#failing.delete(what);
    }
  }

  /** One cluster's failure is told and counted, and is that cluster's alone; the next round tries again. */
  #track(cluster: string, work: Promise<void>, what?: string): void {
    const task = work
      .then(() => void (what !== undefined && this.#failing.delete(what)))
      .catch((error: unknown) => {
        if (what !== undefined) this.#failed(what, error);
        this.#ports.log.error('the watch failed in part, and goes on', { cluster, error });
        this.#ports.metrics.count('WatchFailed', 1, { cluster });
      })
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }
}
