/** Whether a scenario kept its promises: pure, from what was measured. */
import type { RestoreFigures } from './archive/accounting.ts';
import type { ArchiveFigures } from './archive/watch.ts';
import type { DirectAcknowledgement } from './client/direct.ts';
import type { ClientFigures } from './client/messages.ts';
import type { Comparison } from './engines/engine.ts';
import type { DonorChoice, WorldState } from './observer.ts';
import type { Verdict } from './report.ts';
import { whole } from './scenarios/healing.ts';
import type { Limits } from './scenarios/scenario.ts';

export interface Evidence {
  readonly limits: Limits;
  readonly nodeCount: number;
  readonly figures: ClientFigures;
  readonly comparison: Comparison;
  /** What nodes acknowledged to the writers that go straight to them, in order; null where there are none. */
  readonly direct: readonly DirectAcknowledgement[] | null;
  /** Every writer that the ledger has named, in order. */
  readonly writers: readonly string[];
  readonly loss: AllowedLoss;
  readonly signalToRoutedMs: number | null;
  readonly state: WorldState;
  /** Instances launched after the fault. */
  readonly launched: readonly string[];
  readonly donors: readonly DonorChoice[];
  readonly refusedCalls: number;
  readonly restores: readonly RestoreFigures[];
  /** Null without an archive. */
  readonly archive: ArchiveFigures | null;
  /** As declared. */
  readonly rpoMs: number;
  /** Nothing of the cluster is left: only what was restored is looked at. */
  readonly clusterIsLost: boolean;
  /** How many functions were killed; null when none was to be. */
  readonly kills: number | null;
  /** Errors of the rehearsal's own machinery: with any, the figures prove nothing. */
  readonly machineryFailures: readonly string[];
}

/** Whether acknowledged writes may be lost. `accepted`: a person has let it
 * happen, and was told before; with nothing lost, nothing is shown. */
export type AllowedLoss =
  | { readonly kind: 'none' }
  | { readonly kind: 'declared'; readonly bytes: number; readonly bytesPerWrite: number }
  | { readonly kind: 'accepted' };

const atMost = (promise: string, value: number | null, limit: number | null, unit: string): Verdict[] =>
  limit === null
    ? []
    : [
        {
          promise: `${promise}: at most ${limit}${unit}`,
          measured: value === null ? 'not measured' : `${value}${unit}`,
          held: value !== null && value <= limit,
        },
      ];

/** Every promise with what was measured. A promise that could not be measured has not held. */
export function judge(evidence: Evidence): Verdict[] {
  const { limits, figures } = evidence;
  return [
    ...(evidence.clusterIsLost ? [] : [writesVerdict(evidence)]),
    ...atMost('longest gap between two acknowledged writes', figures.writeOutageMs, limits.writeOutageMs, ' ms'),
    ...atMost('failed writes', figures.writeErrors, limits.writeErrors, ''),
    ...atMost('traffic leaves the node after the signal', evidence.signalToRoutedMs, limits.signalToRoutedMs, ' ms'),
    ...(evidence.clusterIsLost ? [] : [...directVerdicts(evidence), ...nodesVerdicts(evidence)]),
    ...evidence.restores.map(restoreVerdict),
    ...archiveVerdicts(evidence.archive, evidence.rpoMs),
    {
      promise: `instances launched: ${limits.launches}`,
      measured: evidence.launched.length === 0 ? 'none' : evidence.launched.join(', '),
      held: evidence.launched.length === limits.launches,
    },
    donorVerdict(evidence.donors),
    {
      promise: 'no call was refused by IAM',
      measured: String(evidence.refusedCalls),
      held: evidence.refusedCalls === 0,
    },
    ...(evidence.kills === null
      ? []
      : [{ promise: 'functions were killed on the way', measured: String(evidence.kills), held: evidence.kills > 0 }]),
    {
      promise: 'the rehearsal itself worked',
      measured: evidence.machineryFailures.length === 0 ? 'yes' : evidence.machineryFailures.slice(0, 3).join('; '),
      held: evidence.machineryFailures.length === 0,
    },
  ];
}

function nodesVerdicts({ nodeCount, state, comparison }: Evidence): Verdict[] {
  return [
    {
      promise: `${nodeCount} nodes synced and in service, one writer, DNS right, everything as declared, nothing under way`,
      measured: whole(nodeCount)(state) ? 'so it is' : ['not so', ...state.problems].join('; '),
      held: whole(nodeCount)(state),
    },
    {
      promise: 'every node holds the same',
      measured: comparison.differences.length === 0 ? 'so it is' : comparison.differences.join('; '),
      held: comparison.differences.length === 0,
    },
  ];
}

const restoreVerdict = ({ target, restoredTo, ...rows }: RestoreFigures): Verdict => ({
  promise: `restored to ${target}: every row acknowledged by then, and none begun after it`,
  measured: `${rows.rowsExpected} expected, ${rows.rowsMissing} missing, ${rows.rowsExtra} too much; stopped at ${restoredTo ?? 'nobody says where'}`,
  held: rows.rowsExpected > 0 && rows.rowsMissing === 0 && rows.rowsExtra === 0,
});

function archiveVerdicts(archive: ArchiveFigures | null, rpoMs: number): Verdict[] {
  if (archive === null) return [];
  return [
    ...atMost('behind what is acknowledged, 99 % of the time', archive.rpoMsP99, rpoMs, ' ms'),
    {
      promise: 'the archive has no hole',
      measured: `${archive.gaps} holes in ${archive.objects} objects`,
      held: archive.gaps === 0,
    },
  ];
}

function writesVerdict({ figures, comparison, loss }: Evidence): Verdict {
  const { lost, duplicated } = comparison.accounting;
  const counts = `${figures.writesAcknowledged} acknowledged, ${lost} lost, ${duplicated} twice`;
  const sane = figures.writesAcknowledged > 0 && duplicated === 0;
  switch (loss.kind) {
    case 'none':
      return {
        promise: 'every acknowledged write is on every node, once',
        measured: counts,
        held: sane && lost === 0,
      };
    case 'declared': {
      const bytes = Math.round(lost * loss.bytesPerWrite);
      return {
        promise: `acknowledged writes are lost up to the declared lag of ${loss.bytes} bytes, none twice`,
        measured: `${counts}: about ${bytes} bytes of log`,
        held: sane && bytes <= loss.bytes,
      };
    }
    case 'accepted':
      return {
        promise: 'acknowledged writes are lost as a person has accepted, none twice',
        measured: counts,
        held: sane && lost > 0,
      };
  }
}

/** Who acknowledged, in order: each stretch of acknowledgements by one node. */
export function stretches(direct: readonly DirectAcknowledgement[]): string[] {
  const result: string[] = [];
  for (const { node } of direct) if (result.at(-1) !== node) result.push(node);
  return result;
}

/**
 * Nodes that acknowledged more often in turn than the ledger made them the writer: at some moment one acknowledged after
 * its successor had begun to. The order is that in which a single client heard the acknowledgements.
 */
export function overlapping(direct: readonly DirectAcknowledgement[], writers: readonly string[]): string[] {
  const turns = stretches(direct);
  return [...new Set(turns)].filter((node) => {
    const granted = Math.max(1, writers.filter((w) => w === node).length);
    return turns.filter((t) => t === node).length > granted;
  });
}

function directVerdicts({ direct, writers, comparison, loss }: Evidence): Verdict[] {
  if (direct === null) return [];
  const both = overlapping(direct, writers);
  const { directLost } = comparison;
  return [
    {
      promise: 'at no moment did two nodes acknowledge writes, asked directly',
      measured: `${direct.length} acknowledged, by ${stretches(direct).slice(0, 8).join(', then ') || 'nobody'}`,
      held: direct.length > 0 && both.length === 0,
    },
    ...(loss.kind === 'none'
      ? [
          {
            promise: 'every directly acknowledged write is on the final primary',
            measured: directLost.length === 0 ? 'so it is' : `${directLost.length} lost, the first: ${directLost[0]}`,
            held: directLost.length === 0,
          },
        ]
      : []),
  ];
}

function donorVerdict(donors: readonly DonorChoice[]): Verdict {
  const wrong = donors.filter((d) => d.donor === d.writer && d.synced.some((id) => id !== d.writer));
  return {
    promise: 'no donor is the writer while another node can serve',
    measured:
      donors.length === 0 ? 'no donor was needed' : donors.map((d) => `${d.donor} (writer ${d.writer})`).join(', '),
    held: wrong.length === 0,
  };
}
