/** Lambda's execution environments of one function: each serves one invocation at a time, and remembers until it ends. */
import type { World } from './world.ts';

/** Chance that one that is free has ended meanwhile, unless another is given. */
const ENDED = 0.1;

export class Warm<T> {
  readonly #world: World;
  readonly #make: () => T;
  readonly #ended: (environment: T) => void;
  readonly #chance: number;
  readonly #free: T[] = [];

  constructor(world: World, make: () => T, ended: (environment: T) => void = () => undefined, chance = ENDED) {
    this.#world = world;
    this.#make = make;
    this.#ended = ended;
    this.#chance = chance;
  }

  /** One that dies under its work serves nobody again. */
  async serve<R>(work: (environment: T) => Promise<R>): Promise<R> {
    const environment = this.#next();
    try {
      const result = await work(environment);
      this.#free.push(environment);
      return result;
    } catch (error) {
      this.#ended(environment);
      throw error;
    }
  }

  #next(): T {
    const found = this.#free.pop();
    if (found !== undefined && !this.#world.random.chance(this.#chance)) return found;
    if (found !== undefined) this.#ended(found);
    return this.#make();
  }
}
