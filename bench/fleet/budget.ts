/** Calls against what an account may make: the token bucket of each API, as AWS describes it. Pure. */
import type { Limit } from '../../simulator/aws/limits.ts';

export interface ApiUse {
  readonly api: string;
  readonly calls: number;
  readonly perSecond: number;
  /** Most calls within one second. */
  readonly peak: number;
  /** Of the bucket that is used most, of those that it takes from. Null: no limit that a fleet meets. */
  readonly limit: Limit | null;
  /** Calls that this bucket would have refused, of all APIs that take from it. */
  readonly refused: number;
  /** Share of this bucket's lasting rate that they use together; 1 is all of it. Null without a limit. */
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

/** Each API's use over `seconds`, the most used first. `calls` in order; `bucketsOf`: from which buckets an API takes. */
export function usesOf(
  calls: readonly { readonly api: string; readonly atMs: number }[],
  seconds: number,
  limits: Readonly<Record<string, Limit>>,
  bucketsOf: (api: string) => readonly string[] = (api) => [api],
): readonly ApiUse[] {
  const byApi = Map.groupBy(calls, (c) => c.api);
  const taken = new Map<string, readonly number[]>();
  for (const bucket of new Set([...byApi.keys()].flatMap(bucketsOf)))
    taken.set(
      bucket,
      calls.flatMap((c) => (bucketsOf(c.api).includes(bucket) ? [c.atMs] : [])),
    );
  return [...byApi]
    .map(([api, of]): ApiUse => {
      const [fullest] = bucketsOf(api)
        .flatMap((bucket) => {
          const [limit, atMs] = [limits[bucket], taken.get(bucket) ?? []];
          return limit === undefined ? [] : [{ limit, atMs, share: atMs.length / seconds / limit.perSecond }];
        })
        .toSorted((a, b) => b.share - a.share);
      return {
        ...{ api, calls: of.length, perSecond: of.length / seconds, peak: peakOf(of.map((c) => c.atMs)) },
        ...{ limit: fullest?.limit ?? null, share: fullest?.share ?? null },
        refused: fullest === undefined ? 0 : refusedBy(fullest.limit, fullest.atMs),
      };
    })
    .sort((a, b) => (b.share ?? 0) - (a.share ?? 0) || b.calls - a.calls);
}
