/** The figures of a soak: per kind of fault, and of the writes. */
import pc from 'picocolors';
import { broken, endingOf, type EngineSoak, type Struck } from './result.ts';

export interface KindFigures {
  readonly kind: string;
  readonly struck: number;
  readonly healed: number;
  readonly longestGapMs: number;
  readonly medianGapMs: number;
  /** Of those that were healed; null when none was. */
  readonly medianWholeMs: number | null;
}

/** The middle one; of an even number, the mean of both. Null of nothing. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? null : Math.round((low + high) / 2);
}

/** One line for each kind, in the order of their names. */
export function byKind(struck: readonly Struck[]): readonly KindFigures[] {
  return [...new Set(struck.map((s) => s.kind))].sort().map((kind) => {
    const those = struck.filter((s) => s.kind === kind);
    const gaps = those.map((s) => s.writeGapMs);
    const wholes = those.flatMap((s) => (s.wholeAfterMs === null ? [] : [s.wholeAfterMs]));
    return {
      kind,
      struck: those.length,
      healed: wholes.length,
      longestGapMs: Math.max(...gaps),
      medianGapMs: median(gaps) ?? 0,
      medianWholeMs: median(wholes),
    };
  });
}

export function print(soak: EngineSoak): void {
  const ending = endingOf(soak);
  const paint = { passed: pc.green, failed: pc.red, interrupted: pc.yellow }[ending];
  const healed = soak.struck.filter((s) => s.why === null).length;
  console.log(`\n${pc.bold(`soak of ${soak.engine}, seed ${soak.seed}: ${paint(ending)}`)}`);
  console.log(`  ${healed} of ${soak.struck.length} faults healed in ${Math.round(soak.seconds)} s`);
  if (soak.struck.length > 0) console.table(byKind(soak.struck).map(row));
  console.log(
    linesOf(soak)
      .map((line) => `  ${line}`)
      .join('\n'),
  );
  for (const sentence of broken(soak)) console.log(`  ${pc.red('BROKEN')}  ${sentence}`);
}

const row = (f: KindFigures): Record<string, unknown> => ({
  fault: f.kind,
  struck: f.struck,
  healed: f.healed,
  'longest gap ms': f.longestGapMs,
  'median gap ms': f.medianGapMs,
  'median whole s': f.medianWholeMs === null ? '–' : (f.medianWholeMs / 1000).toFixed(1),
});

function linesOf({ checked, ...soak }: EngineSoak): string[] {
  const { underWay } = soak;
  return [
    `writes: ${soak.writesAcknowledged} acknowledged, ${checked.compared} compared with every node (${checked.comparisons} times), ${checked.lost} lost, ${checked.duplicated} twice`,
    ...(checked.directAcknowledged === 0
      ? []
      : [
          `directly by single nodes: ${checked.directAcknowledged} acknowledged, ${checked.directLost} lost, ${checked.overlapping.length} nodes beside their successor`,
        ]),
    `longest gap between two writes without a fault: ${soak.calmGapMs} ms`,
    `calls refused by IAM: ${soak.refusedCalls.length}`,
    ...(underWay === null ? [] : [`under way when it was interrupted, not judged: ${underWay}`]),
    ...soak.leftOut.map((sentence) => `left out: ${sentence}`),
  ];
}
