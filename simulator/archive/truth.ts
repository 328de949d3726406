/** What must be so of the archive whatever the engine: nothing is overwritten, nothing that is needed goes, one shipper at a time. */
import { parseKey } from '../../lambdas/model/archive/keys.ts';
import type { GtidPosition } from '../../lambdas/model/archive/gtid.ts';
import { includesPosition } from '../../lambdas/model/archive/gtid.ts';
import type { LogPosition } from '../../lambdas/model/archive/keys.ts';
import { segmentBegin } from '../../lambdas/model/archive/wal-from-base.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import type { Actor } from '../actor.ts';
import type { World } from '../world.ts';
import type { BucketWitness } from './bucket.ts';
import type { ArchiveSide } from './side.ts';

const DAY_MS = 86_400_000;
/** A shipper renews its lease every 5 s: so long, and some calls, it may not know that it has lost it. */
const LEASE_GRACE_MS = 20_000;

export class Truth implements BucketWitness {
  readonly #world: World;
  readonly #side: ArchiveSide;
  readonly #known = new Set<string>();
  /** Who has the lease, and since when. */
  #lease: { readonly holder: string; readonly sinceMs: number } | null = null;

  constructor(world: World, side: ArchiveSide) {
    this.#world = world;
    this.#side = side;
  }

  stored(key: string, body: Uint8Array): void {
    if (this.#known.has(key)) this.#violate('archive', `${key} is overwritten`);
    this.#known.add(key);
    this.#side.stored(key, body);
  }

  found(key: string, body: Uint8Array, there: Uint8Array): void {
    if (Buffer.compare(body, there) !== 0 && this.#side.isAsGood?.(key, body, there) !== true)
      this.#violate('archive', `${key} is taken for stored, and other bytes are there under that name`);
    this.#side.found(key, body, there);
  }

  removes(keys: readonly string[]): void {
    const cutoffMs = this.#world.clock.nowMs() - DAY_MS - 1000;
    const bases = [...this.#world.aws.objects.keys()].flatMap((key) => {
      const object = parseKey(key)?.object;
      return object?.kind === 'manifest' ? [object] : [];
    });
    const oldest = bases.filter((b) => b.endedMs <= cutoffMs).sort((a, b) => b.endedMs - a.endedMs)[0];
    for (const key of keys) {
      const object = parseKey(key)?.object;
      const needed =
        object?.kind === 'manifest'
          ? oldest === undefined || object.endedMs >= oldest.endedMs
          : object?.kind === 'wal'
            ? oldest === undefined || isNeeded(oldest.start, lsnBytes(object.end))
            : object?.kind === 'binlog'
              ? oldest === undefined || isBeyond(oldest.start, object.upTo)
              : object?.kind === 'base'
                ? !bases.some((b) => b.id === object.id && b.endedMs < (oldest?.endedMs ?? 0))
                : false;
      if (needed) this.#violate('archive', `${key} is removed, and a moment within the retention needs it`);
    }
  }

  /** Once a second. */
  tick(): void {
    const { clock } = this.#world;
    const holder = this.#holder();
    if (holder === null) this.#lease = null;
    else if (this.#lease?.holder !== holder) this.#lease = { holder, sinceMs: clock.nowMs() };
  }

  /** Somebody puts log into the bucket. */
  ships({ name }: Actor): void {
    if (this.#lease === null || this.#lease.holder !== this.#holder() || this.#lease.holder === name) return;
    const forMs = this.#world.clock.nowMs() - this.#lease.sinceMs;
    if (forMs > LEASE_GRACE_MS)
      this.#violate('lease', `${name} ships, and ${this.#lease.holder} has had the lease for ${forMs / 1000} s`);
  }

  #holder(): string | null {
    const { aws, clock, spec } = this.#world;
    const lease = aws.leases.get(`${spec.name}#ship`);
    return lease === undefined || lease.untilMs <= clock.nowMs() ? null : lease.holder;
  }

  #violate(rule: string, what: string): void {
    this.#world.guard.violate(rule, what);
  }
}

const isNeeded = (start: LogPosition, end: bigint): boolean =>
  start.engine === 'postgres' && end > segmentBegin(lsnBytes(start.lsn));

const isBeyond = (start: LogPosition, upTo: GtidPosition): boolean =>
  start.engine === 'galera' && !includesPosition(start.gtid, upTo);
