/** Whether a scenario kept its promises: pure, from what was measured. */
import type { ClientFigures } from './client/messages.ts';
import type { DonorChoice, WorldState } from './observer.ts';
import type { Accounting, Verdict } from './report.ts';
import { whole } from './scenarios/healing.ts';
import type { Limits } from './scenarios/scenario.ts';

export interface Evidence {
  readonly limits: Limits;
  readonly nodeCount: number;
  readonly figures: ClientFigures;
  readonly accounting: Accounting;
  readonly signalToRoutedMs: number | null;
  readonly state: WorldState;
  /** Instances launched after the fault. */
  readonly launched: readonly string[];
  readonly donors: readonly DonorChoice[];
  readonly refusedCalls: number;
  /** Errors of the rehearsal's own machinery: with any, the figures prove nothing. */
  readonly machineryFailures: readonly string[];
}

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
  const { limits, figures, accounting, state } = evidence;
  const wrongDonors = evidence.donors.filter((d) => d.donor === d.writer && d.synced.some((id) => id !== d.writer));
  return [
    {
      promise: 'every acknowledged write is on every node, once',
      measured: `${figures.writesAcknowledged} acknowledged, ${accounting.lost} lost, ${accounting.duplicated} twice`,
      held: figures.writesAcknowledged > 0 && accounting.lost === 0 && accounting.duplicated === 0,
    },
    ...atMost('longest gap between two acknowledged writes', figures.writeOutageMs, limits.writeOutageMs, ' ms'),
    ...atMost('failed writes', figures.writeErrors, limits.writeErrors, ''),
    ...atMost('traffic leaves the node after the signal', evidence.signalToRoutedMs, limits.signalToRoutedMs, ' ms'),
    {
      promise: `${evidence.nodeCount} nodes synced and in service, one writer, DNS right, nothing under way`,
      measured: whole(evidence.nodeCount)(state) ? 'so it is' : 'not so',
      held: whole(evidence.nodeCount)(state),
    },
    {
      promise: `instances launched: ${limits.launches}`,
      measured: evidence.launched.length === 0 ? 'none' : evidence.launched.join(', '),
      held: evidence.launched.length === limits.launches,
    },
    {
      promise: 'no donor is the writer while another node can serve',
      measured:
        evidence.donors.length === 0
          ? 'no donor was needed'
          : evidence.donors.map((d) => `${d.donor} (writer ${d.writer})`).join(', '),
      held: wrongDonors.length === 0,
    },
    {
      promise: 'no call was refused by IAM',
      measured: String(evidence.refusedCalls),
      held: evidence.refusedCalls === 0,
    },
    {
      promise: 'the rehearsal itself worked',
      measured: evidence.machineryFailures.length === 0 ? 'yes' : evidence.machineryFailures.slice(0, 3).join('; '),
      held: evidence.machineryFailures.length === 0,
    },
  ];
}
