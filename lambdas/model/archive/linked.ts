/** What following the log from a base backup answers, for both engines. */
import type { LogEntry } from './catalogue.ts';
import type { LogPosition } from './keys.ts';
import type { TimelineHistory } from './timeline.ts';

/** Contents of the history files, by their keys. */
export type HistoryFiles = ReadonlyMap<string, TimelineHistory>;

/** Why an archive is not whole, for code and for people. */
export interface Fault {
  readonly code: 'log-missing' | 'history-missing' | 'data-missing' | 'log-does-not-follow' | 'abandoned' | 'no-base';
  readonly sentence: string;
}

export interface Chain {
  /** In the order in which they are replayed. Together they are whole; they may overlap. `end`: up to where one is used. */
  readonly links: readonly LogEntry[];
  /** Where the unbroken log ends. */
  readonly end: LogPosition;
  /** Each write acknowledged before this moment (epoch ms, by the database's clock) is in; 0: no moment is known. */
  readonly coveredMs: number;
  /** Does it reach the place from which on the base backup is consistent. */
  readonly consistent: boolean;
  /**
   * Does it lead to what the database is now. Not so of a timeline whose loss a person accepted: the next one began before it, and has a
   * higher number (docs/decisions/0024). Its moments can be restored from the bases taken on it, and from no others.
   */
  readonly live: boolean;
  /** What keeps it from going on, though there is more beyond; null: it ends where the archive ends. */
  readonly fault: Fault | null;
}
