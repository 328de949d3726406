/** What clients were told of: the truth that a primary is measured against. */
import type { Acknowledged, LogEntry } from '../../test/fakes/postgres-cluster.ts';

type Log = readonly LogEntry[];

/** A log that holds an entry holds all before it, so that of each line of entries the last one stands for all. */
export class AcknowledgedWrites {
  #last: readonly Acknowledged[] = [];
  #newest: Acknowledged | null = null;
  /** Every one that is not lost, in the order of time. */
  #all: Acknowledged[] = [];
  /** Of what is lost, the first one of each line: a log that has any of it has that. */
  #gone: readonly Acknowledged[] = [];
  /** How many are lost where that was allowed. */
  lost = 0;

  /** Who acknowledged on the newest timeline. */
  get lastBy(): string | null {
    return this.#newest?.node ?? null;
  }

  /** `log`: of the server that acknowledged. Answers what must never be in a sentence; null when all is well. */
  add(told: Acknowledged, log: Log): string | null {
    const before = this.#newest;
    this.#all.push(told);
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

  /** All that the log lacks. */
  lackedBy(log: Log): readonly Acknowledged[] {
    return this.#all.filter((a) => !holds(log, a.entry));
  }

  /** What was lost and has come back, in words; null when nothing has. */
  returned(log: Log): string | null {
    const back = this.#gone.find((a) => holds(log, a.entry));
    return back === undefined
      ? null
      : `write ${back.commit}, which was lost with ${back.node} and its timeline ${back.timeline}`;
  }

  /** A person has chosen this log: what was lost before and is in there may be back. */
  accept(log: Log): void {
    this.#gone = this.#gone.filter((a) => !holds(log, a.entry));
  }

  /**
   * What this log lacks is lost, for a person accepts it or the cluster allows it, and with it the timeline that had it: its number may be
   * given again.
   */
  forgive(log: Log): void {
    const lost = this.lackedBy(log);
    this.lost += lost.length;
    this.#all = this.#all.filter((a) => holds(log, a.entry));
    const firsts = lost.filter((a, i) => !lost.slice(0, i).some((b) => b.node === a.node && b.timeline === a.timeline));
    this.#gone = [...this.#gone, ...firsts];
    this.#last = this.#last.filter((a) => holds(log, a.entry));
    this.#newest = this.#last.at(-1) ?? null;
  }
}

const holds = (log: Log, entry: LogEntry): boolean => log[entry.index] === entry;
