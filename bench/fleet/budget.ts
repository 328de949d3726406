/** Calls against what an account may make: the token bucket of each API, as AWS describes it. Pure. */
import type { Limit } from '../../simulator/aws/limits.ts';

export interface ApiUse {
  readonly api: string;
  readonly calls: number;
  readonly perSecond: number;
  /** Most calls within one second. */
  readonly peak: number;
  /** Null: no limit that a fleet meets. */
  readonly limit: Limit | null;
  /** Calls that the bucket would have refused. */
  readonly refused: number;
  /** Share of the lasting rate that is used; 1 is all of it. Null without a limit. */
  readonly share: number | null;
}

/** `atMs` in order. A bucket is full at first, and fills by `perSecond`. */
export function refusedBy({ burst, perSecond }: Limit, atMs: readonly number[]): number {
  let tokens = burst;
  let beforeMs = atMs[0] ?? 0;
  let refused = 0;
  for (const now of atMs) {
    tokens = Math.min(burst, tokens + ((now - beforeMs) / 1000) * perSecond);
    beforeMs = now;
    if (tokens < 1) refused += 1;
    else tokens -= 1;
  }
  return refused;
}

const peakOf = (atMs: readonly number[]): number =>
  Math.max(0, ...[...Map.groupBy(atMs, (ms) => Math.floor(ms / 1000)).values()].map((of) => of.length));

/** Each API's use over `seconds`, the most used first. */
export function usesOf(
  calls: readonly { readonly api: string; readonly atMs: number }[],
  seconds: number,
  limits: Readonly<Record<string, Limit>>,
): readonly ApiUse[] {
  return [...Map.groupBy(calls, (c) => c.api)]
    .map(([api, of]): ApiUse => {
      const atMs = of.map((c) => c.atMs);
      const limit = limits[api] ?? null;
      const perSecond = of.length / seconds;
      return {
        ...{ api, calls: of.length, perSecond, limit },
        peak: peakOf(atMs),
        refused: limit === null ? 0 : refusedBy(limit, atMs),
        share: limit === null ? null : perSecond / limit.perSecond,
      };
    })
    .sort((a, b) => (b.share ?? 0) - (a.share ?? 0) || b.calls - a.calls);
}
