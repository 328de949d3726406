/** Lambda's execution environments of one function: each serves one invocation at a time, and remembers until it ends. */
import type { World } from './world.ts';

/** Chance that one that is free has ended meanwhile. */
const ENDED = 0.1;

export class Warm<T> {
  readonly #world: World;
  readonly #make: () => T;
  readonly #free: T[] = [];

  constructor(world: World, make: () => T) {
    this.#world = world;
    this.#make = make;
  }

  /** One that dies under its work serves nobody again. */
  async serve<R>(work: (environment: T) => Promise<R>): Promise<R> {
    const found = this.#free.pop();
    const environment = found === undefined || this.#world.random.chance(ENDED) ? this.#make() : found;
    const result = await work(environment);
    this.#free.push(environment);
    return result;
  }
}
