/** A restore's plan: for the host, lines of tab-separated words (docs/archive.md); for people, JSON. Pure. */
import type { Listed } from './catalogue.ts';
import type { HistoryFiles } from './chain.ts';
import { positionText } from './chain.ts';
import { formatGtidPosition } from './gtid.ts';
import { parseKey } from './keys.ts';
import type { Manifest } from './manifest.ts';
import type { Refusal } from './target.ts';
import { refusal, targetText } from './target.ts';
import type { Choice } from './choose.ts';

/**
 * What the estimate reckons with. Download and unpacking run together; replay is one process. Measured rates differ by
 * disk and by what the log does: the restore's report has what it really took.
 */
export const RATES = {
  /** RunInstances, boot, preparation. */
  launchSeconds: 150,
  /** Of stored (compressed) bytes, in parallel, onto an EBS volume of 250 MiB/s. */
  downloadBytesPerSecond: 100 * 2 ** 20,
  /** Of stored (compressed) log. */
  replayBytesPerSecond: 12 * 2 ** 20,
} as const;

/** What a person reads: the output of a dry run, and of the restore's first step. */
export interface PlanSummary {
  readonly cluster: string;
  readonly history: string;
  readonly engine: string;
  readonly engineVersion: string;
  /** The new cluster's name. */
  readonly as: string;
  readonly target: { readonly kind: string; readonly value: string };
  readonly base: {
    readonly id: string;
    readonly endedAt: string;
    readonly storedBytes: number;
    readonly rawBytes: number;
  };
  readonly log: { readonly objects: number; readonly bytes: number; readonly from: string; readonly to: string };
  readonly estimate: { readonly seconds: number; readonly reckoning: string };
  /** What the archive has beyond the target: it will not be in the new cluster. */
  readonly notIncluded: { readonly objects: number; readonly bytes: number; readonly until: string } | null;
}

export interface RestorePlan {
  readonly summary: PlanSummary;
  /** The plan object's content. */
  readonly text: string;
}

/** The plan, or why its base cannot be trusted. */
export function planOf(choice: Choice, manifest: Manifest, files: HistoryFiles, as: string): RestorePlan | Refusal {
  const damage = damageOf(choice, manifest);
  if (damage !== null) {
    return refusal(
      'BASE_DAMAGED',
      `the base backup ${choice.base.id} is not to be trusted: ${damage}; give an earlier target, or take a new backup`,
    );
  }
  return { summary: summaryOf(choice, manifest, as), text: textOf(choice, manifest, files) };
}

/** Null: the manifest is about this base, and its sizes are those of the data that is there. */
function damageOf({ base, catalogue }: Choice, manifest: Manifest): string | null {
  if (manifest.id !== base.id || manifest.data !== base.dataKey || manifest.history !== catalogue.place.history) {
    return `its manifest is about ${manifest.data}, expected ${base.dataKey}`;
  }
  const parts = manifest.parts.reduce((sum, p) => sum + p.bytes, 0);
  if (parts !== manifest.storedBytes || base.storedBytes !== manifest.storedBytes) {
    return `${base.storedBytes} bytes are stored, the manifest says ${manifest.storedBytes} and its ${manifest.parts.length} parts ${parts}`;
  }
  return null;
}

const bytesOf = (objects: readonly Listed[]): number => objects.reduce((sum, o) => sum + o.sizeBytes, 0);
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function summaryOf(
  { catalogue, base, links, end, target, after }: Choice,
  manifest: Manifest,
  as: string,
): PlanSummary {
  const bytes = bytesOf(links);
  const { launchSeconds, downloadBytesPerSecond, replayBytesPerSecond } = RATES;
  const download = (base.storedBytes + bytes) / downloadBytesPerSecond;
  const replay = bytes / replayBytesPerSecond;
  return {
    ...catalogue.place,
    ...{ engine: catalogue.engine, engineVersion: manifest.engineVersion, as },
    target: { kind: target.kind, value: targetText(target) },
    base: {
      id: base.id,
      endedAt: new Date(base.endedMs).toISOString(),
      storedBytes: base.storedBytes,
      rawBytes: manifest.rawBytes,
    },
    log: { objects: links.length, bytes, from: positionText(base.start), to: positionText(end) },
    estimate: {
      seconds: Math.ceil(launchSeconds + download + replay),
      reckoning:
        `${launchSeconds} s to launch and prepare a host, ${Math.ceil(download)} s to download ${mib(base.storedBytes + bytes)} ` +
        `at ${mib(downloadBytesPerSecond)}/s, ${Math.ceil(replay)} s to replay ${mib(bytes)} of stored log at ${mib(replayBytesPerSecond)}/s`,
    },
    notIncluded:
      after.objects === 0
        ? null
        : { objects: after.objects, bytes: after.bytes, until: new Date(after.untilMs).toISOString() },
  };
}

/** The target as the host is told it: a place on a timeline is the place, and the plan's end says which timeline. */
function targetLine({ target }: Choice): readonly [string, string, string] {
  switch (target.kind) {
    case 'latest':
      return ['target', 'latest', 'latest'];
    case 'time':
      return ['target', 'time', target.text];
    case 'lsn':
      return ['target', 'lsn', target.lsn];
    case 'gtid':
      return ['target', 'gtid', formatGtidPosition(target.gtid)];
  }
}

function textOf(choice: Choice, manifest: Manifest, files: HistoryFiles): string {
  const { catalogue, base, links, end } = choice;
  const lines: (readonly (string | number)[])[] = [
    ['engine', catalogue.engine],
    ['base', base.dataKey, base.storedBytes, manifest.sha256],
    ...manifest.parts.map((p, i) => ['part', i + 1, p.bytes, p.sha256]),
    ...historyLines(choice, files),
    ...links.map(({ key }) => ['log', key, ...stretchOf(key)]),
    targetLine(choice),
    ['end', positionText(end)],
  ];
  return `${lines.map((l) => l.join('\t')).join('\n')}\n`;
}

/** The object as it is stored, whatever of it is used. */
function stretchOf(key: string): readonly [string, string] {
  const object = parseKey(key)?.object;
  if (object?.kind === 'wal') return [`${object.timeline}/${object.start}`, `${object.timeline}/${object.end}`];
  if (object?.kind === 'binlog') return [formatGtidPosition(object.after) || 'none', formatGtidPosition(object.upTo)];
  throw new RangeError(`${key} is no object of a log`);
}

/** Files of the timelines that led to where the plan ends, and of that one. */
function historyLines({ catalogue, end }: Choice, files: HistoryFiles): readonly (readonly (string | number)[])[] {
  if (end.engine !== 'postgres') return [];
  const before = files.get(catalogue.histories.get(end.timeline) ?? '') ?? [];
  const way = new Set([...before.map((s) => s.timeline), end.timeline]);
  return [...catalogue.histories]
    .filter(([timeline]) => way.has(timeline))
    .toSorted(([a], [b]) => a - b)
    .map(([timeline, key]) => ['history', timeline, key]);
}
