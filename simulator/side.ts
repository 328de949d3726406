/** What differs by engine in the simulator: the model of the database, the scripts on its hosts, its rules, faults and runbook. */
import type { CommandState, PostgresAdmin, Prober } from '../lambdas/cloud/ports.ts';
import type { ClusterSpec } from '../lambdas/model/spec.ts';
import type { Instance } from '../lambdas/model/view.ts';
import type { Actor } from './actor.ts';
import type { Fault } from './faults.ts';

export const ENGINES = ['galera', 'postgres'] as const;
export type EngineName = (typeof ENGINES)[number];

/** The truth about one cluster's databases. Nodes are named by instance id. */
export interface Database {
  /** Writes that a client was told of. */
  readonly writes: number;
  /** What half a second does. */
  tick(): void;
  /** What clients do in a second; `routed` is where the balancer leads them. Answers whether a write was acknowledged. */
  clients(routed: string | undefined): boolean;
  /** The process runs and does not hang. */
  isUp(id: string): boolean;
  /** A TCP check succeeds: a hung process still accepts. */
  listens(id: string): boolean;
  /** A working part of the cluster. */
  serves(id: string): boolean;
  /** Could a write be acknowledged by anybody. */
  takesWrites(): boolean;
  /** The process ends without a word, or its host does. */
  crash(id: string): void;
  /** A clean shutdown. */
  stop(id: string): void;
  hang(id: string): void;
  resume(id: string): void;
  /** EC2 was told to end the host. */
  hostEnds(id: string, how: 'stop' | 'terminate'): void;
}

export interface Call {
  readonly actor: Actor;
  readonly operation: string;
  readonly args: readonly unknown[];
}

/** The safety rules that only one engine has; the guard has the others. */
export interface EngineRules {
  /** How many acknowledged writes were lost where that was allowed; left out: none may be. */
  readonly lost?: number;
  /** Looked at before an act takes effect. */
  before(call: Call): void;
  /** An instance is about to be stopped or terminated. */
  ends(id: string, operation: string): void;
  /** The ledger's writer was set. */
  becomesWriter(actor: Actor, id: string): void;
  /** Looked at every half second. */
  tick(): void;
}

export interface Side {
  readonly spec: ClusterSpec;
  readonly database: Database;
  readonly prober: Prober;
  /** Null: the engine has none. */
  readonly admin: PostgresAdmin | null;
  readonly rules: EngineRules;
  readonly faults: Readonly<Record<string, Fault>>;
  /** The cluster begins: these run and serve, the first is the writer. */
  found(nodes: readonly Instance[]): void;
  runScript(id: string, document: string, parameters: Readonly<Record<string, string>>, end: ScriptEnd): void;
  /** A person looks, once a minute after the faults, and does what the runbook says. */
  help(): void;
  /** The faults stop. */
  calm(): void;
  /** What of the databases is not as it should be, beside that each serves. */
  unfinished(): readonly string[];
  /** Nobody takes writes, and people were told why. */
  readonly stuck: { readonly told: RegExp; readonly why: string };
}

export type ScriptEnd = (state: CommandState) => void;

export const ok = (said: object): CommandState => ({ kind: 'succeeded', output: JSON.stringify(said) });
export const failed = (exitCode: number, error: string): CommandState => ({
  kind: 'failed',
  exitCode,
  output: '',
  error,
});
