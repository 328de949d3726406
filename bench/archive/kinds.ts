/** What the archive's benchmark measures, and what a contestant must offer to be measured. */

/**
 * - `wal`: ship the same stretch of PostgreSQL's log.
 * - `binlog`: ship the same binlogs of MariaDB.
 * - `restore`: a database from its base backup and that log.
 */
export const PARTS = ['wal', 'binlog', 'restore'] as const;
export type Part = (typeof PARTS)[number];

/** A command of which every process is measured, from its start to its end. */
export interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

export interface Kept {
  readonly bytes: number;
  readonly objects: number;
}

export interface Checked {
  /** What it has stored; null: it stores nothing. */
  readonly kept: Kept | null;
  /** Where one command has several phases, which may overlap: what it says of their times. */
  readonly phaseSeconds?: Readonly<Record<string, number>>;
}

/** One round, made ready: an empty place to store in, a position to begin from. None of that is measured. */
export interface Prepared {
  readonly steps: readonly Step[];
  /** Looks whether all that was asked for is there; throws when it is not. */
  check(): Promise<Checked>;
  clear(): Promise<void>;
}

export interface Contestant {
  readonly name: string;
  prepare(round: number): Promise<Prepared>;
}

/** What one measured command took, with all its descendants. */
export interface Usage {
  /** From its start to the end of its first process. */
  readonly seconds: number;
  readonly userSeconds: number;
  readonly systemSeconds: number;
  /** The largest sum of resident memory over all processes at one moment. */
  readonly peakRssBytes: number;
}

export interface Round {
  readonly part: Part;
  readonly contestant: string;
  readonly round: number;
  /** Bytes of log that were to be shipped or replayed. */
  readonly logBytes: number;
  readonly steps: Readonly<Record<string, Usage>>;
  readonly kept: Kept | null;
  readonly phaseSeconds: Readonly<Record<string, number>>;
  /** CPU seconds of the servers meanwhile, which are nobody's: the database that is read from, and the S3 server. */
  readonly serverCpuSeconds: Readonly<Record<string, number>>;
  /** One-minute load of the machine when it began. */
  readonly loadBefore: number;
}

/** A round that came to grief. */
export interface Failure {
  readonly part: Part;
  readonly contestant: string;
  readonly round: number;
  readonly why: string;
}
