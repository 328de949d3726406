/** Safety rule 1: the plane never leaves the readers without a target. */
import type { World } from '../world.ts';

/** Old answers of the balancer may hide whom a look has taken out, and a look that was killed comes back after 30 s. */
const NO_READERS_MS = 45_000;

export class Readers {
  readonly #world: World;
  /** When the plane has taken the last one out. */
  #emptiedAtMs: number | null = null;

  constructor(world: World) {
    this.#world = world;
  }

  /** The plane has deregistered somebody from `group`. */
  deregistered(group: string): void {
    if (group === this.#world.groups.healthy && !this.#hasSome()) this.#emptiedAtMs ??= this.#world.clock.nowMs();
  }

  tick(): void {
    const { clock, planeOn, guard } = this.#world;
    if (this.#hasSome() || !planeOn) this.#emptiedAtMs = null;
    if (this.#emptiedAtMs === null || clock.nowMs() - this.#emptiedAtMs <= NO_READERS_MS) return;
    guard.violate('1', 'the last target was taken out of the readers, and none has come back');
    this.#emptiedAtMs = null;
  }

  #hasSome(): boolean {
    return this.#world.routed('healthy').some((id) => !this.#world.isForeign(id));
  }
}
