/** The report of one scenario, as JSON and as the verdict on the terminal. */
import type { RestoreFigures } from './archive/accounting.ts';
import type { ArchiveFigures } from './archive/watch.ts';
import type { ClientFigures } from './client/messages.ts';
import type { EngineKind } from '../lambdas/model/spec.ts';
import type { TimelineEntry } from './ui/timeline.ts';

/** One thing that the scenario promises, and whether it held. */
export interface Verdict {
  readonly promise: string;
  readonly measured: string;
  readonly held: boolean;
}

export interface FinalNode {
  readonly instance: string;
  readonly address: string | null;
  readonly ec2: string;
  readonly database: string;
  readonly clusterSize: number | null;
  readonly rows: number | null;
}

export interface Report {
  readonly scenario: string;
  readonly engine: EngineKind;
  /** `normal`, or what was done to events and functions beside the scenario (`--events`, `--kills`). */
  readonly variant: string;
  readonly passed: boolean;
  readonly verdicts: readonly Verdict[];
  readonly timeline: readonly TimelineEntry[];
  readonly client: {
    readonly writesAcknowledged: number;
    readonly writesLost: number;
    readonly writesDuplicated: number;
    readonly writeOutageMs: number;
    readonly writeErrors: number;
    readonly connectErrors: number;
    readonly readsAnswered: number;
    readonly readErrors: number;
    /** Rows that nodes acknowledged to the writers that go straight to them, by instance id. */
    readonly direct: Readonly<Record<string, number>>;
    readonly errors: readonly string[];
  };
  readonly control: {
    /** From the delivery of the first signal to traffic having left the lost node; null when nothing was to be routed. */
    readonly signalToRoutedMs: number | null;
    /** The same, to the lost node's place being taken by a member in service. */
    readonly signalToRejoinedMs: number | null;
    /** Calls by Lambdas and workflows, `service:operation`. */
    readonly awsCalls: Readonly<Record<string, number>>;
  };
  readonly final: {
    readonly nodes: readonly FinalNode[];
    readonly healthyTargets: number;
    readonly writerTarget: string | null;
    readonly dnsWriter: string | null;
  };
  /** Each restore of the scenario; empty when there was none. */
  readonly restore: readonly RestoreFigures[];
  /** Null without an archive. */
  readonly archive: ArchiveFigures | null;
  /** Functions that were killed, with step and moment. */
  readonly killed: readonly string[];
  readonly iam: { readonly refused: readonly unknown[]; readonly unused: readonly unknown[] };
  readonly emulated: readonly string[];
}

/** Rows of one node compared with what the client was told: lost ids on the worst node, ids stored more than once. */
export interface Accounting {
  readonly lost: number;
  readonly duplicated: number;
  readonly firstLost: readonly number[];
}

/**
 * Compares acknowledged ids with the ids found on every node (an id may be found several times).
 * A write is lost when any node lacks it; duplicated when any node has it more than once.
 */
export function account(acknowledged: readonly number[], perNode: readonly (readonly number[])[]): Accounting {
  const lost = new Set<number>();
  const duplicated = new Set<number>();
  for (const ids of perNode) {
    const seen = new Set<number>();
    for (const id of ids) {
      if (seen.has(id)) duplicated.add(id);
      seen.add(id);
    }
    for (const id of acknowledged) if (!seen.has(id)) lost.add(id);
  }
  if (perNode.length === 0) acknowledged.forEach((id) => lost.add(id));
  return { lost: lost.size, duplicated: duplicated.size, firstLost: [...lost].slice(0, 10) };
}

export const clientSection = (figures: ClientFigures, accounting: Accounting): Report['client'] => ({
  writesAcknowledged: figures.writesAcknowledged,
  writesLost: accounting.lost,
  writesDuplicated: accounting.duplicated,
  writeOutageMs: figures.writeOutageMs,
  writeErrors: figures.writeErrors,
  connectErrors: figures.connectErrors,
  readsAnswered: figures.readsAnswered,
  readErrors: figures.readErrors,
  direct: figures.direct,
  errors: figures.errors,
});
