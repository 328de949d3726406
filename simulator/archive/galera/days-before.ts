/** The archive of the three days before the night: three objects of log, each with a base backup, of which two are older than the retention needs. */
import { keyOf } from '../../../lambdas/model/archive/keys.ts';
import type { ArchivePlace } from '../../../lambdas/model/archive/keys.ts';
import { parseGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import { gtid } from './servers.ts';

const HOUR_MS = 3_600_000;

/** Keys, of objects whose content nobody reads. The last of them ends at `seqno`, where the night's own log begins. */
export function daysBefore(place: ArchivePlace, startMs: number, seqno: number): readonly string[] {
  const ages = [72, 48, 30].map((hours) => startMs - hours * HOUR_MS);
  const ends = [0, Math.floor(seqno / 3), Math.floor((2 * seqno) / 3), seqno].map((s) => parseGtidPosition(gtid(s)));
  return ages.flatMap((beganMs, i) => {
    const [after = new Map(), upTo = new Map()] = [ends[i], ends[i + 1]];
    const at = { engine: 'galera', gtid: after } as const;
    const id = `before-${i + 1}`;
    const source = `i-before~binlog.${i + 1}~0`;
    return [
      keyOf(place, { kind: 'binlog', after, upTo, coveredMs: (ages[i + 1] ?? startMs) - 1000, source }),
      keyOf(place, { kind: 'base', id }),
      keyOf(place, { kind: 'manifest', beganMs, endedMs: beganMs + 60_000, start: at, end: at, id }),
    ];
  });
}
