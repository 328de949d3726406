/** Each minute, for each cluster with an archive: what can be restored, as metrics; and what is due. */
import type { ArchiveBucket, ArchiveStarts, Clock, Log, Metrics, Specs } from '../cloud/ports.ts';
import { newestMs } from '../model/archive/catalogue.ts';
import { goodBases, newestHistory, rangesOf } from '../model/archive/ranges.ts';
import type { HistoryRanges } from '../model/archive/ranges.ts';
import type { ArchiveSpec, ClusterSpec } from '../model/spec.ts';
import { describeProblems } from '../model/spec.ts';
import type { Archive } from '../recovery/read-archive.ts';
import { readArchive, readRecent } from '../recovery/read-archive.ts';
import { backupDue, drillDue, isAudit } from './due.ts';
import { retain } from './retention.ts';

export interface ArchivePorts {
  readonly clock: Clock;
  readonly specs: Specs;
  readonly bucket: ArchiveBucket;
  readonly starts: ArchiveStarts;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The most log that a slot of the plane holds back on a node of the cluster; null: the engine has none, or none answers. */
  readonly retainedBytes: (spec: ClusterSpec) => Promise<number | null>;
}

/** A base backup's log is on its way for so long before its absence is a gap. */
const SETTLES_MS = 10 * 60_000;

/** One cluster's fault keeps no other from its turn; all are thrown together, so that the function's alarm tells. */
export async function archiveMinute(ports: ArchivePorts): Promise<void> {
  const faults: unknown[] = [];
  for (const { cluster, result } of await ports.specs.list()) {
    try {
      if (!result.ok) throw new Error(describeProblems(cluster, result.problems));
      if (result.spec.archive !== undefined) await ofCluster(ports, result.spec, result.spec.archive);
    } catch (error) {
      ports.log.error('the archive was not looked at', { cluster, why: String(error) });
      faults.push(error);
    }
  }
  if (faults.length > 0) throw new AggregateError(faults, faults.map(String).join('; '));
}

async function ofCluster(ports: ArchivePorts, spec: ClusterSpec, archive: ArchiveSpec): Promise<void> {
  const { name: cluster } = spec;
  const nowMs = ports.clock.nowMs();
  const audit = isAudit(cluster, nowMs);
  const read = await (audit ? readArchive : readRecent)(ports.bucket, cluster);
  const all = read.catalogues.map((c) => rangesOf(c, read.files));
  const newest = newestHistory(all);
  publish(ports, cluster, { newest, all, nowMs, audit });
  const retained = await ports.retainedBytes(spec);
  if (retained !== null) ports.metrics.gauge('SlotRetainedBytes', retained, 'Bytes', { cluster });
  await startWhatIsDue(ports, cluster, archive, read, nowMs);
  if (audit) await retain(cluster, archive, read, ports, nowMs);
}

interface Findings {
  readonly newest: HistoryRanges | null;
  readonly all: readonly HistoryRanges[];
  readonly nowMs: number;
  readonly audit: boolean;
}

/**
 * `RestorableFrom` is known to an audit only; `ArchiveGap` is by the minute of what lies behind the last base but one, and by
 * the hour of everything.
 */
function publish({ metrics, log }: ArchivePorts, cluster: string, { newest, all, nowMs, audit }: Findings): void {
  const [first, last] = [newest?.ranges[0], newest?.ranges.at(-1)];
  const dimensions = { cluster };
  if (audit && first !== undefined) metrics.gauge('RestorableFrom', first.fromMs / 1000, 'Seconds', dimensions);
  if (last !== undefined) {
    metrics.gauge('RestorableUntil', last.untilMs / 1000, 'Seconds', dimensions);
    metrics.gauge('ArchiveLag', Math.max(0, nowMs - last.untilMs) / 1000, 'Seconds', dimensions);
  }
  const gaps = (audit ? all : newest === null ? [] : [newest]).flatMap((h) => [
    ...h.holes,
    ...h.unusable.filter((u) => nowMs - u.endedMs > SETTLES_MS),
  ]);
  metrics.gauge('ArchiveGap', gaps.length, 'Count', dimensions);
  for (const gap of gaps) log.warn('a gap in the archive', { cluster, code: gap.code, why: gap.sentence });
}

async function startWhatIsDue(
  { starts, log }: ArchivePorts,
  cluster: string,
  archive: ArchiveSpec,
  { catalogues, files }: Archive,
  nowMs: number,
): Promise<void> {
  // The database that is shipped now. A new one has log before it has a base, and can be restored to no moment until then.
  const catalogue = catalogues.toSorted((a, b) => newestMs(b) - newestMs(a))[0];
  // One whose log is still on its way counts: another one would not bring it.
  const ended = catalogue?.bases
    .filter((b) => b.storedBytes !== null && nowMs - b.endedMs < SETTLES_MS)
    .at(-1)?.endedMs;
  const good =
    catalogue === undefined ? undefined : goodBases(catalogue, files).findLast((b) => b.chain.live)?.base.endedMs;
  const backup = backupDue(cluster, Math.max(ended ?? 0, good ?? 0) || null, archive, nowMs);
  if (backup !== null) {
    log.info('a base backup is due', { cluster, execution: backup });
    await starts.start('backup', backup, cluster);
  }
  const drill = drillDue(cluster, good !== undefined, archive, nowMs);
  if (drill !== null) {
    log.info('a rehearsed restore is due', { cluster, execution: drill });
    await starts.start('drill', drill, cluster);
  }
}
