/** Base backups: started by the archive's minute, taken by the model, put into the bucket as the plane and the hosts do. */
import { createHash } from 'node:crypto';
import type { ArchiveStarts } from '../../lambdas/cloud/ports.ts';
import { keyOf } from '../../lambdas/model/archive/keys.ts';
import type { LogPosition } from '../../lambdas/model/archive/keys.ts';
import { parseGtidPosition } from '../../lambdas/model/archive/gtid.ts';
import type { Manifest } from '../../lambdas/model/archive/manifest.ts';
import type { World } from '../world.ts';
import type { SimArchive } from './archive.ts';
import type { Backup } from './side.ts';

const AGAIN_MS = 20_000;
const TRIES = 20;

export class SimBackups implements ArchiveStarts {
  readonly #world: World;
  readonly #archive: SimArchive;
  readonly #names = new Set<string>();

  constructor(world: World, archive: SimArchive) {
    this.#world = world;
    this.#archive = archive;
  }

  async start(machine: 'backup' | 'drill', name: string): Promise<void> {
    if (machine !== 'backup' || this.#names.has(name)) return;
    this.#names.add(name);
    void this.#take(name);
  }

  async #take(id: string): Promise<void> {
    const { clock, story } = this.#world;
    for (let i = 0; i < TRIES; i += 1) {
      const backup = this.#archive.side.backup();
      const beganMs = clock.nowMs();
      if (backup !== null) {
        await clock.sleep(this.#archive.random.int(3000, 30_000));
        const end = backup.end();
        if (end !== null && (await this.#put(id, backup, end, beganMs))) return;
      }
      story.tell('backup', `${id} begins anew`);
      await clock.sleep(AGAIN_MS);
    }
  }

  /** Data first, the manifest last. False: S3 was away. */
  async #put(id: string, backup: Backup, end: Backup['start'], beganMs: number): Promise<boolean> {
    const { clock, story, spec } = this.#world;
    const place = { cluster: spec.name, history: backup.history };
    const data = Buffer.from(`the data of ${id}`);
    const sha256 = createHash('sha256').update(data).digest('hex');
    const endedMs = clock.nowMs();
    const dataKey = keyOf(place, { kind: 'base', id });
    const range = { beganMs, endedMs, start: positionOf(backup.start), end: positionOf(end) };
    const manifestKey = keyOf(place, { kind: 'manifest', ...range, id });
    const manifest: Manifest = {
      ...{ version: 1, ...place, engine: this.#world.engine, id, data: dataKey, engineVersion: '15.18' },
      ...{ takenOn: backup.node, beganAt: iso(beganMs), endedAt: iso(endedMs), start: backup.start, end },
      ...{ rawBytes: data.length, storedBytes: data.length, sha256, parts: [{ bytes: data.length, sha256 }] },
    };
    try {
      const { bucket } = this.#archive;
      await bucket.put(dataKey, data);
      await bucket.put(manifestKey, Buffer.from(JSON.stringify(manifest)));
    } catch (error) {
      story.tell('backup', `${id}: ${String(error)}`);
      return false;
    }
    story.tell('backup', `${id} of ${backup.node} ends at ${JSON.stringify(end)}`);
    this.#archive.side.backedUp(manifestKey, endedMs);
    return true;
  }
}

const iso = (ms: number): string => new Date(ms).toISOString();

export const positionOf = (place: Backup['start']): LogPosition =>
  'gtid' in place
    ? { engine: 'galera', gtid: parseGtidPosition(String(place['gtid'])) }
    : { engine: 'postgres', timeline: Number(place['timeline']), lsn: String(place['lsn']) };
