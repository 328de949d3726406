/** Safety rule 2: nobody routes by a past that is gone, and there are never two writers. */
import type { Actor } from '../actor.ts';
import type { World } from '../world.ts';

const STALE_ROUTE_MS = 2500;
const TWO_WRITERS_MS = 10_000;

export class Writers {
  readonly #world: World;
  #epoch = -1;
  #epochSinceMs = 0;
  #twoSinceMs: number | null = null;

  constructor(world: World) {
    this.#world = world;
  }

  /** Looks at the ledger's epoch: as often as it may have changed. */
  remember(): void {
    const { epoch } = this.#world.ledger();
    if (epoch !== this.#epoch) [this.#epoch, this.#epochSinceMs] = [epoch, this.#world.clock.nowMs()];
  }

  /** A target is about to be registered or deregistered. */
  routes(actor: Actor, operation: string): void {
    const late = this.#world.clock.nowMs() - this.#epochSinceMs > STALE_ROUTE_MS;
    if (actor.epoch === this.#epoch || !late) return;
    const at = `at epoch ${actor.epoch ?? 'none'}, the ledger is at ${this.#epoch}`;
    this.#world.guard.violate('2', `${actor.name} does ${operation} ${at}`);
  }

  tick(): void {
    const { clock, guard, planeOn } = this.#world;
    // A target whose host does not run leads nobody anywhere.
    const writers = this.#world.routed('writer').filter((id) => !this.#world.isForeign(id) && this.#world.hostRuns(id));
    if (writers.length < 2) this.#twoSinceMs = null;
    else this.#twoSinceMs ??= clock.nowMs();
    if (this.#twoSinceMs !== null && clock.nowMs() - this.#twoSinceMs > TWO_WRITERS_MS && planeOn)
      guard.violate('2', `${writers.join(' and ')} are both routed to`);
  }
}
