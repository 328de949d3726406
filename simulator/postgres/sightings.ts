/** Where the plane could see the writer: what it must know of a primary that is lost. */
import { last } from '../../test/fakes/postgres-cluster.ts';
import type { World } from '../world.ts';
import type { SimPostgres } from './cluster.ts';

/**
 * The ledger is written every 5 s, by a watch that may have been killed and then comes back with the next minute, and whose
 * writes may be throttled.
 */
const KNOWN_AFTER_MS = 90_000;

interface Sight {
  readonly atMs: number;
  readonly timeline: number;
  readonly end: number;
}

export class Sightings {
  readonly #world: World;
  readonly #pg: SimPostgres;
  #writer: string | null = null;
  /** Without a gap, the newest last. */
  #run: Sight[] = [];
  /** The newest one that the plane had the time to note. */
  lasting: Sight | null = null;

  constructor(world: World, pg: SimPostgres) {
    this.#world = world;
    this.#pg = pg;
  }

  tick(): void {
    const { clock, planeOn } = this.#world;
    const nowMs = clock.nowMs();
    const { writer } = this.#world.ledger();
    const server = this.#pg.servers.get(writer ?? '');
    const isSeen = planeOn && server !== undefined && !server.recovering && this.#pg.hears(server) === 'answers';
    if (writer !== this.#writer || !isSeen) this.#run = [];
    this.#writer = writer;
    if (!isSeen || server.disk === null) return;
    const { timeline, end } = last(server.disk);
    this.#run.push({ atMs: nowMs, timeline, end });
    while ((this.#run[0]?.atMs ?? nowMs) <= nowMs - KNOWN_AFTER_MS) this.lasting = this.#run.shift() ?? null;
  }
}
