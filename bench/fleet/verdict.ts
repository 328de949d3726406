/** A promise, and whether what was measured keeps it. */
export interface Verdict {
  readonly promise: string;
  readonly measured: string;
  readonly held: boolean;
}
