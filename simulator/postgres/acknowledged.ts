/** What clients were told of: the truth that a primary is measured against. */
import type { Acknowledged, LogEntry } from '../../test/fakes/postgres-cluster.ts';

type Log = readonly LogEntry[];

/** A log that holds an entry holds all before it, so that of each line of entries the last one stands for all. */
export class AcknowledgedWrites {
  #last: readonly Acknowledged[] = [];
  #newest: Acknowledged | null = null;

  /** Who acknowledged on the newest timeline. */
  get lastBy(): string | null {
    return this.#newest?.node ?? null;
  }

  /** `log`: of the server that acknowledged. Answers what must never be in a sentence; null when all is well. */
  add(told: Acknowledged, log: Log): string | null {
    const before = this.#newest;
    if (before === null || told.timeline >= before.timeline) this.#newest = told;
    if (!this.#last.some((a) => a.entry === told.entry)) {
      this.#last = [...this.#last.filter((a) => !holds(log, a.entry)), told];
    }
    if (before === null) return null;
    if (told.timeline < before.timeline) {
      return `${told.node} acknowledges on timeline ${told.timeline}, after ${before.node} on timeline ${before.timeline}`;
    }
    return told.timeline === before.timeline && told.node !== before.node
      ? `${before.node} and ${told.node} both acknowledge on timeline ${told.timeline}`
      : null;
  }

  /** An acknowledged write that the log lacks, in words; null when it has all. */
  lacking(log: Log): string | null {
    const lost = this.#last.find((a) => !holds(log, a.entry));
    if (lost === undefined) return null;
    return `write ${lost.commit}, which ${lost.node} acknowledged on timeline ${lost.timeline}`;
  }

  /** A person accepts that what this log lacks is lost, and with it the timeline that had it: its number may be given again. */
  forgive(log: Log): void {
    this.#last = this.#last.filter((a) => holds(log, a.entry));
    this.#newest = this.#last.at(-1) ?? null;
  }
}

const holds = (log: Log, entry: LogEntry): boolean => log[entry.index] === entry;
