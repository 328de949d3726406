/** What the failover benchmark measures, and what a system must offer to be measured. */

/**
 * - `host-killed`: every process of the primary's host is killed at once and its address answers nothing any more.
 * - `process-killed`: kill -9 of the primary's postmaster; the host lives.
 * - `host-frozen`: SIGSTOP to every process of the primary's host; the kernel still takes connections.
 */
export const FAULTS = ['host-killed', 'process-killed', 'host-frozen'] as const;
export type Fault = (typeof FAULTS)[number];

export interface Node {
  readonly id: string;
  readonly address: string;
}

export interface Credentials {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** How the lost host comes back: by the system alone, or because a person (here: the benchmark) turned it on again. */
export type Comeback =
  { readonly kind: 'by-itself' } | { readonly kind: 'helped'; readonly atMs: number; readonly how: string };

/** A cluster of three that keeps itself alive, ready to be hurt. */
export interface System {
  readonly name: string;
  readonly writer: Endpoint;
  /** May create a table; also what the client writes as. */
  readonly application: Credentials;
  /** May read `pg_stat_replication`. */
  readonly monitor: Credentials;
  readonly databasePort: number;
  /** Nodes that exist now, dead ones too. */
  nodes(): readonly Node[];
  /** Null when the system has nothing under way; otherwise what it is busy with. */
  busy(): Promise<string | null>;
  strike(fault: Fault, node: Node): Promise<void>;
  /** Called once writes are back: does what the owner of the machine would do, and says what. */
  recover(fault: Fault, node: Node): Promise<Comeback>;
  /** Null when nobody helps such a member: then the run ends there. */
  readonly reseed: Reseeding | null;
  /** What the system says it did since then; empty when it keeps no such record. */
  story(sinceMs: number): readonly Told[];
  /** Timings, settings and delays under which it was measured. */
  settings(): Readonly<Record<string, unknown>>;
}

/** What the owner of the system does with a member that does not become a replica again. */
export interface Reseeding {
  /** How long it may take, from the fault or, when its host was turned on again, from then. */
  readonly afterMs: number;
  /** Has the member copied anew from the primary, and says how. */
  copyAnew(node: Node): Promise<string>;
}

/** That it came to this in a round. */
export interface Reseed {
  readonly nodes: readonly string[];
  /** What the servers said when the time was over. */
  readonly why: string;
  readonly how: string;
  /** From the same moment as `replicaAgainMs` to the help, and from the help to three whole nodes. */
  readonly afterMs: number;
  readonly wholeMs: number;
}

/** Something that happened, in milliseconds after the fault. */
export interface Told {
  readonly atMs: number;
  readonly what: string;
}

/** A stretch without an acknowledged write; epoch milliseconds. */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Round {
  readonly system: string;
  readonly fault: Fault;
  readonly round: number;
  readonly primary: string;
  readonly successor: string;
  /** How long after the cluster was whole the fault came: spread over the peer's loop. */
  readonly waitedMs: number;
  readonly faultAtMs: number;
  /** Longest gap between two acknowledged writes from the fault on. */
  readonly writeOutageMs: number;
  /** Every gap of the round above 250 ms, in milliseconds after the fault. */
  readonly gaps: readonly { readonly atMs: number; readonly ms: number }[];
  readonly acknowledged: number;
  /** Acknowledged writes that this round lost: missing at its end, and not yet at the end of the one before. */
  readonly lostWrites: number;
  readonly firstLost: readonly number[];
  readonly comeback: Comeback['kind'];
  readonly helpedHow: string | null;
  /**
   * From the fault (or, when helped, from the help) to three nodes: one primary, two streaming replicas. Null when that
   * took longer than the system is given, and a member was copied anew.
   */
  readonly replicaAgainMs: number | null;
  readonly reseed: Reseed | null;
  /** The same, when it came to it before the fault: the round before had left the cluster whole, and it was not any more. */
  readonly reseedBefore: Reseed | null;
  /** The client's first errors. */
  readonly errors: readonly string[];
  readonly story: readonly Told[];
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Median of an even count: the mean of the middle two. Throws on nothing. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new Error('no rounds to take a median of; run at least one');
  const upper = sorted[Math.floor(sorted.length / 2)] ?? max;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? min;
  return { min, median: (lower + upper) / 2, max };
}
