/**
 * No call over budget, and no storm of retries: what the plane of one cluster may ask of an API that refuses it.
 *
 * Over budget: refused while others leave AWS's buckets alone but for the tenth that reconcile's turns leave to them (lambdas/cloud/pace.ts). One cluster
 * is looked at several times a second while it fails over: the turns keep that within what AWS takes, and all else that the plane asks is seldom.
 * A storm of retries: one that feeds itself. The plane of one cluster is refused by an API more often than AWS would answer it at all: even when all
 * others had stopped, those requests would keep the bucket empty. Refusals below that end with what has caused them. While SQS or Lambda run each reconcile
 * twice, it may ask twice as often.
 */
import { bucketsOf, LIMITS } from '../aws/limits.ts';
import type { World } from '../world.ts';

const WINDOW_MS = 10_000;
/** When others have stopped, each bucket has tokens for as many as may be asking by then: the slowest gets back one a second and more. */
const REFILLED_MS = 5000;
/** An environment of reconcile that has just begun does not know what the one before it has taken: so long until the largest burst is there again. */
const FORGOTTEN_MS = 10_000;

export class Budget {
  readonly #world: World;
  /** By API, when it refused. */
  readonly #refusedMs = new Map<string, number[]>();
  #isTold = false;
  #beganMs = Number.NEGATIVE_INFINITY;

  constructor(world: World) {
    this.#world = world;
  }

  /** An environment of reconcile begins, with all of its turns. */
  begins(): void {
    this.#beganMs = this.#world.clock.nowMs();
  }

  refused(api: string): void {
    const { clock, others } = this.#world;
    const nowMs = clock.nowMs();
    const lately = (this.#refusedMs.get(api) ?? []).filter((ms) => nowMs - ms < WINDOW_MS);
    lately.push(nowMs);
    this.#refusedMs.set(api, lately);
    // Twins of a reconcile are more environments at once than the account is shared among.
    const atEase = nowMs - Math.max(this.#beganMs, Math.min(nowMs, this.#world.twinsUntilMs)) > FORGOTTEN_MS;
    if (!others.stormed(REFILLED_MS) && atEase) this.#violate(`${api} is refused, and nobody else has asked for much`);
    const [own] = bucketsOf(api);
    const twins = nowMs < this.#world.twinsUntilMs + WINDOW_MS ? 2 : 1;
    const most = own === undefined ? 0 : twins * LIMITS[own].perSecond * (WINDOW_MS / 1000);
    if (lately.length > most)
      this.#violate(`${api} is asked ${lately.length} times in vain within ${WINDOW_MS / 1000} s, at most ${most}`);
  }

  #violate(what: string): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#world.guard.violate('budget', what);
  }
}
