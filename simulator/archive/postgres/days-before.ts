/** The archive of the two days before the night: three segments, each with a base backup, of which two are older than the retention needs. */
import { keyOf, lsnOfBytes } from '../../../lambdas/model/archive/keys.ts';
import type { ArchivePlace } from '../../../lambdas/model/archive/keys.ts';

const SEGMENT = 0x1000000n;
const HOUR_MS = 3_600_000;

/** Keys, of objects whose content nobody reads. The last of them ends where the night's own log begins. */
export function daysBefore(place: ArchivePlace, startMs: number): readonly string[] {
  const ages = [72, 48, 30].map((hours) => startMs - hours * HOUR_MS);
  return ages.flatMap((beganMs, i) => {
    const [start, end] = [lsnOfBytes(SEGMENT * BigInt(i)), lsnOfBytes(SEGMENT * BigInt(i + 1))];
    const at = { engine: 'postgres', timeline: 1, lsn: lsnOfBytes(SEGMENT * BigInt(i) + 0x100n) } as const;
    const id = `before-${i + 1}`;
    return [
      keyOf(place, { kind: 'wal', timeline: 1, start, end, coveredMs: (ages[i + 1] ?? startMs) - 1000 }),
      keyOf(place, { kind: 'base', id }),
      keyOf(place, { kind: 'manifest', beganMs, endedMs: beganMs + 60_000, start: at, end: at, id }),
    ];
  });
}
