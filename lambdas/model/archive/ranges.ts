/**
 * Which moments can be restored, and what is not whole: one pure function over a listing of the bucket. A moment can be
 * restored when a base backup ended before it and the unbroken log after that base covers it.
 */
import type { EngineKind } from '../spec.ts';
import type { Base, Catalogue, Listed } from './catalogue.ts';
import { catalogue } from './catalogue.ts';
import type { Chain, Fault, HistoryFiles } from './chain.ts';
import { chainFrom, positionText } from './chain.ts';
import type { ArchivePlace, LogPosition } from './keys.ts';

/** Each moment from `fromMs` up to `untilMs`, both with, can be restored. Epoch ms. */
export interface RestorableRange {
  readonly fromMs: number;
  readonly untilMs: number;
  /** Ids of the bases that it rests on, the oldest first. */
  readonly bases: readonly string[];
  /** Where the log of its last moment ends. */
  readonly end: LogPosition;
}

/** Moments that cannot be restored, between two that can; `untilMs` null: up to the newest log that there is. */
export interface Hole extends Fault {
  readonly fromMs: number;
  readonly untilMs: number | null;
}

/** A base backup from which no moment can be restored. */
export interface UnusableBase extends Fault {
  readonly id: string;
  readonly endedMs: number;
}

export interface HistoryRanges {
  readonly place: ArchivePlace;
  readonly engine: EngineKind;
  /** By time. They do not touch. */
  readonly ranges: readonly RestorableRange[];
  readonly holes: readonly Hole[];
  /** Also those whose moments another base covers, and those so new that their log is still on its way. */
  readonly unusable: readonly UnusableBase[];
}

/**
 * One answer for each database of each cluster in the listing.
 * `files`: contents of the history files that are listed, by key; one that is not given counts as missing.
 */
export const restorableRanges = (
  listing: Iterable<Listed>,
  files: HistoryFiles = new Map(),
): readonly HistoryRanges[] => catalogue(listing).map((c) => rangesOf(c, files));

/** A base that is good, and how far its log leads. */
export interface GoodBase {
  readonly base: Base & { readonly storedBytes: number };
  readonly chain: Chain;
}

/** By their end. A base is good when its data is there and its log leads beyond the moment at which it ended. */
export const goodBases = (of: Catalogue, files: HistoryFiles): readonly GoodBase[] =>
  of.bases.flatMap((base) => judge(of, base, files).good ?? []);

/**
 * By their end: those that can be made whole. The log of the newest may not tell yet up to which moment it leads, after a
 * loss it never will: a place, and the newest that there is, can be restored from them all the same.
 */
export const wholeBases = (of: Catalogue, files: HistoryFiles): readonly GoodBase[] =>
  of.bases.flatMap((base) => judge(of, base, files).whole ?? []);

export function rangesOf(of: Catalogue, files: HistoryFiles): HistoryRanges {
  const judged = of.bases.map((base) => judge(of, base, files));
  const good = judged.flatMap((j) => j.good ?? []);
  const unusable = judged.flatMap((j) => j.unusable ?? []);
  const ranges = merged(good);
  const holes = ranges.flatMap(({ range, fault }, index): readonly Hole[] => {
    const next = ranges[index + 1]?.range;
    if (next === undefined) return fault === null ? [] : [{ ...fault, fromMs: range.untilMs, untilMs: null }];
    const why = fault ?? {
      code: 'log-missing',
      sentence: `no log leads from ${positionText(range.end)} to the base backup ${next.bases[0] ?? ''}`,
    };
    return [{ ...why, fromMs: range.untilMs, untilMs: next.fromMs }];
  });
  return { place: of.place, engine: of.engine, ranges: ranges.map((r) => r.range), holes, unusable };
}

interface Judged {
  readonly good: GoodBase | null;
  readonly whole: GoodBase | null;
  readonly unusable: UnusableBase | null;
}

function judge(of: Catalogue, base: Base, files: HistoryFiles): Judged {
  const { id, endedMs, storedBytes } = base;
  const bad = (fault: Fault, whole: GoodBase | null = null): Judged => ({
    ...{ good: null, whole },
    unusable: { ...fault, id, endedMs },
  });
  if (storedBytes === null) {
    const sentence = `the base backup ${id} has a manifest and no data: expected ${base.dataKey}`;
    return bad({ code: 'data-missing', sentence });
  }
  const chain = chainFrom(of, base, files);
  const whole = chain.consistent ? { base: { ...base, storedBytes }, chain } : null;
  if (whole !== null && chain.coveredMs >= endedMs) return { good: whole, whole, unusable: null };
  if (whole !== null) {
    const sentence =
      `the base backup ${id} is whole, and no log tells that it leads up to ${new Date(endedMs).toISOString()}, when it ended: ` +
      '"latest" can be restored from it, and no moment yet';
    return bad({ code: 'log-does-not-follow', sentence }, whole);
  }
  if (chain.fault?.code === 'abandoned') return bad(chain.fault);
  const why = chain.fault === null ? 'no more log is there' : chain.fault.sentence;
  return bad({
    code: 'log-does-not-follow',
    sentence:
      `the base backup ${id} needs log from ${positionText(base.start)} to ${positionText(base.end)}; ` +
      `it leads to ${positionText(chain.end)}: ${why}`,
  });
}

interface Merged {
  readonly range: RestorableRange;
  readonly fault: Fault | null;
}

function merged(good: readonly GoodBase[]): readonly Merged[] {
  const all: Merged[] = [];
  for (const { base, chain } of good) {
    const before = all.at(-1);
    const own = { fromMs: base.endedMs, untilMs: chain.coveredMs, bases: [base.id], end: chain.end };
    if (before === undefined || before.range.untilMs < base.endedMs) {
      all.push({ range: own, fault: chain.fault });
      continue;
    }
    const { range, fault } = before;
    const bases = [...range.bases, base.id];
    const farther = chain.coveredMs >= range.untilMs;
    all[all.length - 1] = farther
      ? { range: { ...own, fromMs: range.fromMs, bases }, fault: chain.fault }
      : { range: { ...range, bases }, fault };
  }
  return all;
}

/** The newest database of a cluster: the one that people mean by its name. Null when there is none. */
export function newestHistory<T extends Pick<HistoryRanges, 'ranges' | 'unusable'>>(histories: readonly T[]): T | null {
  const newestMs = ({ ranges, unusable }: T): number =>
    Math.max(ranges.at(-1)?.untilMs ?? 0, ...unusable.map((u) => u.endedMs));
  return histories.reduce<T | null>((found, h) => (found === null || newestMs(h) > newestMs(found) ? h : found), null);
}
