/** Safety rule 12: no request for a look is lost. */
import type { World } from '../world.ts';

/** Signals that could not be passed on come back after 180 s, and so does the sweep. */
const UNSERVED_MS = 300_000;

/** Causes that carry the id of an event, of a slot or a moment of time, or of an execution and its step. */
const NAMES_ONE_THING = /^(event|sweep|due|arn)[-:]/;

export class Requests {
  readonly #world: World;
  /** When a reconcile was asked for that has not begun. */
  #unservedSinceMs: number | null = null;
  readonly #repeated = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  /**
   * Containers of the watch ask for one sweep under one name, a repeated step and a doubled event ask as they did before, so that
   * SQS drops all but the first: those are not waited for. Whatever else asks means something that has just happened.
   */
  asked(causes: readonly string[]): void {
    const news = causes.filter((c) => !this.#repeated.has(c));
    for (const c of causes) if (NAMES_ONE_THING.test(c)) this.#repeated.add(c);
    if (news.length > 0) this.#unservedSinceMs ??= this.#world.clock.nowMs();
  }

  /** A look at the cluster begins: it serves all who have asked by now. Or nobody could have looked until now. */
  served(): void {
    this.#unservedSinceMs = null;
  }

  tick(): void {
    const { clock, planeOn, guard } = this.#world;
    if (this.#unservedSinceMs === null || clock.nowMs() - this.#unservedSinceMs <= UNSERVED_MS || !planeOn) return;
    guard.violate('12', 'a reconcile that was asked for has not begun');
    this.#unservedSinceMs = null;
  }
}
