/** What came of a soak on one engine, as the JSON report has it; and whether it passed. Pure. */
import type { EngineKind } from '../../lambdas/model/spec.ts';
import type { TimelineEntry } from '../ui/timeline.ts';

/** One fault. Times in milliseconds. */
export interface Struck {
  readonly number: number;
  readonly kind: string;
  /** Since the soak began. */
  readonly atMs: number;
  /** The longest gap between two acknowledged writes, from the fault until the cluster was whole. */
  readonly writeGapMs: number;
  /** Statements that failed at the client. */
  readonly writeErrors: number;
  /** From the fault to the cluster being whole for good; null: it was not within the limit. */
  readonly wholeAfterMs: number | null;
  /** Of one that was not healed; null otherwise. */
  readonly why: string | null;
}

/** Acknowledged writes against what nodes hold. */
export interface Checked {
  readonly comparisons: number;
  /** Acknowledged writes that were looked for on every node. */
  readonly compared: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly firstLost: readonly number[];
  /** Rows that single nodes acknowledged to the writers that go straight to them; 0 where there are none. */
  readonly directAcknowledged: number;
  readonly directLost: number;
  /** Nodes that acknowledged beside their successor. */
  readonly overlapping: readonly string[];
  /** What differed between the nodes at the end, when nobody wrote. */
  readonly differences: readonly string[];
}

export const NOTHING_CHECKED: Checked = {
  comparisons: 0,
  compared: 0,
  lost: 0,
  duplicated: 0,
  firstLost: [],
  directAcknowledged: 0,
  directLost: 0,
  overlapping: [],
  differences: [],
};

/** `passed`: it came to its end and nothing was broken. */
export type Ending = 'passed' | 'failed' | 'interrupted';

export interface EngineSoak {
  readonly engine: EngineKind;
  readonly seed: number;
  /** Asked for; building the world not counted. */
  readonly minutes: number;
  readonly seconds: number;
  readonly struck: readonly Struck[];
  /** Kind of the fault that was under way when it was interrupted. */
  readonly underWay: string | null;
  readonly leftOut: readonly string[];
  readonly writesAcknowledged: number;
  /** The longest gap between two writes while no fault was under way. */
  readonly calmGapMs: number;
  readonly checked: Checked;
  readonly refusedCalls: readonly unknown[];
  /** Errors of the rehearsal's own machinery: with any, the figures prove nothing. */
  readonly machineryFailures: readonly string[];
  /** Why it did not come to its end; null when it did, or a person ended it. */
  readonly broke: string | null;
  readonly interrupted: boolean;
  readonly timeline: readonly TimelineEntry[];
}

/** Everything that keeps a soak from having passed, as sentences; empty when nothing does. */
export function broken(soak: Omit<EngineSoak, 'timeline'>): readonly string[] {
  const { checked } = soak;
  const when = (condition: boolean, sentence: string): string[] => (condition ? [sentence] : []);
  return [
    ...soak.struck.flatMap((s) => when(s.why !== null, `fault ${s.number} (${s.kind}) was not healed: ${s.why}`)),
    ...when(
      checked.lost > 0,
      `${checked.lost} acknowledged writes are lost, the first: ${checked.firstLost.join(', ')}`,
    ),
    ...when(
      checked.duplicated > 0,
      `${checked.duplicated} writes are stored twice, or there again after they were deleted`,
    ),
    ...when(checked.directLost > 0, `${checked.directLost} directly acknowledged writes are not on the primary`),
    ...when(
      checked.overlapping.length > 0,
      `acknowledged writes while another node did so too: ${checked.overlapping.join(', ')}`,
    ),
    ...when(checked.differences.length > 0, `the nodes differ: ${checked.differences.join('; ')}`),
    ...when(soak.refusedCalls.length > 0, `${soak.refusedCalls.length} calls were refused by IAM`),
    ...soak.machineryFailures.map((failure) => `the rehearsal itself failed: ${failure}`),
    ...when(soak.broke !== null, `it did not come to its end: ${soak.broke}`),
    ...when(
      !soak.interrupted && soak.broke === null && (soak.struck.length === 0 || checked.compared === 0),
      `it shows nothing: ${soak.struck.length} faults, ${checked.compared} writes compared`,
    ),
  ];
}

/** What is broken counts also when a person had enough. */
export function endingOf(soak: Omit<EngineSoak, 'timeline'>): Ending {
  if (broken(soak).length > 0) return 'failed';
  return soak.interrupted ? 'interrupted' : 'passed';
}

/** 0: all passed. 1: something is broken. 130, as a shell says of Ctrl-C: nothing is, as far as it came. */
export function exitCode(endings: readonly Ending[]): 0 | 1 | 130 {
  if (endings.includes('failed')) return 1;
  return endings.includes('interrupted') || endings.length === 0 ? 130 : 0;
}
