/** Safety rule 12: no request for a look is lost. */
import { MOST_PUT_OFFS, PUT_OFF_SECONDS } from '../../lambdas/reconcile/put-off.ts';
import type { World } from '../world.ts';

/** Signals that could not be passed on come back after 180 s, and so does the sweep. */
const UNSERVED_MS = 300_000;
/** A look that can wait while others come first is put off, and for no longer than this in all. */
const PUT_OFF_MS = MOST_PUT_OFFS * PUT_OFF_SECONDS * 1000;

/** Causes that carry the id of an event, of a slot or a moment of time, or of an execution and its step. */
const NAMES_ONE_THING = /^(event|sweep|due|arn)[-:]/;

export class Requests {
  readonly #world: World;
  /** When a reconcile was asked for that has not begun. */
  #unservedSinceMs: number | null = null;
  #isPutOff = false;
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
    this.#isPutOff = false;
  }

  /** The request for a look comes back later, under this cause. */
  later(cause: string): void {
    if (cause.startsWith('put-off-')) this.#isPutOff = true;
  }

  tick(): void {
    const { clock, planeOn, guard } = this.#world;
    const most = UNSERVED_MS + (this.#isPutOff ? PUT_OFF_MS : 0);
    if (this.#unservedSinceMs === null || clock.nowMs() - this.#unservedSinceMs <= most || !planeOn) return;
    guard.violate('12', 'a reconcile that was asked for has not begun');
    this.served();
  }
}
