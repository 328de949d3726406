/** Whose sweep is due, and who may go. A fleet has more clusters than AWS answers questions about at once. */
import type { Log, Metrics } from '../cloud/ports.ts';
import { Allowance } from './allowance.ts';

/**
 * A sweep is a reconcile, which describes two target groups or so; an account has ten such calls a second, after a burst of 40.
 * Not quite half of that is for sweeps: a fleet of more clusters than it lasts for is swept less often, each in its turn.
 */
const SWEEPS = { burst: 20, perSecond: 2.4 } as const;

/** Sweeps are spread over their period, and some fall together: a wait of this length, milliseconds, is no news. */
const LATE_MS = 10_000;

export class Sweeps {
  readonly #allowance = new Allowance(SWEEPS);
  /** By cluster, since when its sweep is due, in the order in which it came to be. */
  readonly #due = new Map<string, number>();
  /** Of those that went since people were last told. */
  readonly #late = new Set<string>();
  #longestMs = 0;

  /** The cluster's sweep is due, and may have been for some time. */
  ask(cluster: string, nowMs: number): void {
    if (!this.#due.has(cluster)) this.#due.set(cluster, nowMs);
  }

  /** Those that have waited longest, as many as may go now. */
  take(nowMs: number): readonly string[] {
    const taken: string[] = [];
    for (const [cluster, sinceMs] of this.#due) {
      if (!this.#allowance.take(nowMs)) break;
      this.#due.delete(cluster);
      this.#note(cluster, nowMs - sinceMs);
      taken.push(cluster);
    }
    return taken;
  }

  /** How long sweeps have had to wait since this was last told, those that still wait among them: a metric, and a line if it matters. */
  tell(nowMs: number, { log, metrics }: { readonly log: Log; readonly metrics: Metrics }): void {
    for (const [cluster, sinceMs] of this.#due) this.#note(cluster, nowMs - sinceMs);
    const longestSeconds = Math.round(this.#longestMs / 1000);
    metrics.gauge('SweepWait', longestSeconds, 'Seconds');
    if (this.#late.size > 0)
      log.warn('sweeps have to wait: the fleet has more clusters than may be swept as often as configured', {
        ...{ clusters: this.#late.size, longestSeconds, perSecond: SWEEPS.perSecond },
      });
    this.#late.clear();
    this.#longestMs = 0;
  }

  #note(cluster: string, waitedMs: number): void {
    this.#longestMs = Math.max(this.#longestMs, waitedMs);
    if (waitedMs >= LATE_MS) this.#late.add(cluster);
  }
}
