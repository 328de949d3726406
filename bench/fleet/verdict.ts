/** A promise, and whether what was measured keeps it. */
export interface Verdict {
  readonly promise: string;
  readonly measured: string;
  readonly held: boolean;
  /** Why nobody could keep it, by AWS's own arithmetic: it is told, and is no failure. */
  readonly cannotBe?: string;
}

/** Whether nothing is broken that could have been kept. */
export const isKept = ({ held, cannotBe }: Verdict): boolean => held || cannotBe !== undefined;

export function printVerdict({ promise, measured, held, cannotBe }: Verdict): void {
  const broken = cannotBe === undefined ? 'BROKEN' : 'CANNOT';
  console.log(
    `${held ? 'held  ' : broken}  ${promise}: ${measured}${held || cannotBe === undefined ? '' : `; ${cannotBe}`}`,
  );
}
