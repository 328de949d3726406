/**
 * Retention, carried out: a dry run first. A plan is stored in the bucket as `<cluster>/retention/<at>`, once a day. An
 * hourly audit removes what such a plan of at least an hour ago named and what is still to go by one made now.
 */
import * as z from 'zod/mini';
import type { ArchiveBucket, Log } from '../cloud/ports.ts';
import { retentionOf } from '../model/archive/retention.ts';
import type { ArchiveSpec } from '../model/spec.ts';
import type { Archive } from '../recovery/read-archive.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Plans are kept for so long, for people. */
const KEPT_MS = 30 * DAY_MS;

const stored = z.object({ remove: z.array(z.string()) });
const folderOf = (cluster: string): string => `${cluster}/retention/`;

/** When the plan of that key was made; null for a key that is none. */
function madeAt(cluster: string, key: string): number | null {
  const name = key.startsWith(folderOf(cluster)) ? key.slice(folderOf(cluster).length) : '';
  return /^\d{13}$/.test(name) ? Number(name) : null;
}

/** Answers how many objects were removed. */
export async function retain(
  cluster: string,
  { retentionDays }: ArchiveSpec,
  { listing, files }: Archive,
  { bucket, log }: { readonly bucket: ArchiveBucket; readonly log: Log },
  nowMs: number,
): Promise<number> {
  const plans = listing.flatMap(({ key }) => {
    const atMs = madeAt(cluster, key);
    return atMs === null ? [] : [{ key, atMs }];
  });
  const { remove, classes } = retentionOf(listing, files, retentionDays * DAY_MS, nowMs);
  const approved = plans.filter((p) => nowMs - p.atMs >= HOUR_MS && nowMs - p.atMs < DAY_MS + HOUR_MS).at(-1);
  const named = new Set(approved === undefined ? [] : await readPlan(bucket, approved.key));
  const both = remove.filter((key) => named.has(key));
  if (both.length > 0) {
    log.warn(`retention removes ${both.length} objects`, { cluster, plan: approved?.key, classes });
    await bucket.remove(both);
  }
  const rest = remove.filter((key) => !named.has(key));
  if (rest.length > 0 && !plans.some((p) => nowMs - p.atMs < DAY_MS)) {
    const key = `${folderOf(cluster)}${Math.trunc(nowMs)}`;
    log.info(`retention would remove ${rest.length} objects; in an hour it does`, { cluster, plan: key, classes });
    await bucket.put(key, Buffer.from(JSON.stringify({ remove: rest, classes }, null, 2)));
  }
  const old = plans.filter((p) => nowMs - p.atMs > KEPT_MS).map((p) => p.key);
  if (old.length > 0) await bucket.remove(old);
  return both.length;
}

async function readPlan(bucket: ArchiveBucket, key: string): Promise<readonly string[]> {
  const text = await bucket.get(key);
  if (text === null) return [];
  const parsed = stored.safeParse(JSON.parse(Buffer.from(text).toString('utf8')));
  if (!parsed.success) throw new Error(`${key} is no plan of the retention; remove it, and another is made`);
  return parsed.data.remove;
}
