/** The minute of `archive`, and its retention over an archive that is older than the night. */
import { archiveMinute } from '../../lambdas/archive/archive.ts';
import { retain } from '../../lambdas/archive/retention.ts';
import { readArchive } from '../../lambdas/recovery/read-archive.ts';
import type { World } from '../world.ts';
import type { ArchivePorts, SimArchive } from './archive.ts';
import type { SimBackups } from './backups.ts';

const TIMEOUT_MS = 30_000;
/** An audit is once an hour: here more often. A plan that it carries out is made two hours before the night. */
const AUDIT_MINUTES = 2;
const PLANNED_BEFORE_MS = 2 * 3_600_000;

export class Keeper {
  readonly #world: World;
  readonly #archive: SimArchive;
  #minutes = 0;

  constructor(world: World, archive: SimArchive) {
    this.#world = world;
    this.#archive = archive;
  }

  minute(): void {
    this.#minutes += 1;
    this.#run(`archive-${this.#minutes}`, (ports) =>
      archiveMinute({ ...ports, starts: ports.starts, retainedBytes: async () => null }),
    );
    if (this.#minutes % AUDIT_MINUTES !== 1) return;
    // The first one says what would go, and the second one does it.
    const nowMs = this.#world.clock.nowMs() - (this.#minutes === 1 ? PLANNED_BEFORE_MS : 0);
    this.#run(`audit-${this.#minutes}`, async (ports) => {
      const { name, archive } = this.#archive.spec;
      if (archive === undefined) return;
      const removed = await retain(name, archive, await readArchive(ports.bucket, name), ports, nowMs);
      if (removed > 0) this.#world.story.tell('retention', `removes ${removed} objects`);
    });
  }

  #run(name: string, work: (ports: ArchivePorts & { readonly starts: SimBackups }) => Promise<void>): void {
    void this.#archive
      .invoke(name, TIMEOUT_MS, (ports) => work(ports as ArchivePorts & { readonly starts: SimBackups }))
      .catch((error: unknown) => this.#world.story.tell(name, String(error)));
  }
}
