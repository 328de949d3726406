/**
 * All our instances, listed once, instead of asking by id whose each one is that a backlog of signals names
 * (docs/decisions/0025-a-listing-answers-whose-an-instance-is.md). Of a message that was sent before the listing began it tells what a question by id
 * would have told at that moment: what is not in it is not ours. Of one that came later it tells nothing.
 */
import { INSTANCES_PER_PAGE } from '../cloud/ports.ts';
import type { Clock, Instances, Log } from '../cloud/ports.ts';
import { isAnswered } from '../model/answered.ts';

/** Whose an instance is changes only when a person tags it anew. */
export const OWNER_KEPT_MS = 60_000;
/** Those who wait for a listing for longer ask by id, and what it says is there for those who come after it. */
export const LISTING_WAITED_FOR_MS = 5000;
/** How long none is begun after one that failed: a refused listing has cost its pages, and told nothing. */
export const LISTING_PAUSED_MS = 60_000;
/** A fleet of more instances is asked for by id, as each listing is kept in memory: a third more than 10,000 clusters have. */
export const MOST_LISTED = 50_000;

interface Listed {
  readonly beganMs: number;
  /** Instance id to cluster. */
  readonly owners: ReadonlyMap<string, string>;
}

export class Listing {
  #last: Listed | null = null;
  /** Calls that a listing takes, as the last one did. */
  #price = 1;
  /** Calls that asked by id since the last one, and that it would have answered. */
  #spent = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #isUnderWay = false;

  /**
   * Whose the instance is by a listing: its cluster, or, when that began after the message was sent, null for one that is not ours.
   * Undefined: none tells. `sentMs`: from when on a listing tells what the message is about; null: nobody knows.
   */
  ownerOf(id: string, sentMs: number | null, nowMs: number): string | null | undefined {
    if (this.#last === null) return undefined;
    const { beganMs, owners } = this.#last;
    if (isAnswered(sentMs, beganMs)) return owners.get(id) ?? null;
    return nowMs - beganMs > OWNER_KEPT_MS ? undefined : owners.get(id);
  }

  /** A question by id of so many calls is about to be asked which a listing would answer, too. */
  noteSpent(calls: number): void {
    this.#spent += calls;
  }

  /**
   * Whether the questions by id have cost what a listing costs. So listings never cost more than the questions did, which nobody
   * knows beforehand: the messages may be the last ones, or the first of thousands.
   */
  isDue(nowMs: number): boolean {
    return !this.#isUnderWay && nowMs >= this.#pausedUntilMs && this.#spent >= this.#price;
  }

  /** Lists. Never throws: without an answer, whoever waits for it asks by id. */
  async begin(ports: { readonly instances: Instances; readonly clock: Clock; readonly log: Log }): Promise<void> {
    this.#isUnderWay = true;
    this.#spent = 0;
    const listing = this.#list(ports).finally(() => (this.#isUnderWay = false));
    await Promise.race([listing, ports.clock.sleep(LISTING_WAITED_FOR_MS)]);
  }

  async #list({ instances, clock, log }: Parameters<Listing['begin']>[0]): Promise<void> {
    const beganMs = clock.nowMs();
    try {
      const clusters = await instances.ofEveryCluster();
      const owners = new Map([...clusters].flatMap(([cluster, of]) => of.map(({ id }) => [id, cluster] as const)));
      this.#price = Math.max(1, Math.ceil(owners.size / INSTANCES_PER_PAGE));
      this.#last = owners.size > MOST_LISTED ? null : { beganMs, owners };
      if (this.#last === null) this.#pausedUntilMs = Number.POSITIVE_INFINITY;
      log.info('listed all our instances', { instances: owners.size, tookMs: clock.nowMs() - beganMs });
    } catch (error) {
      this.#pausedUntilMs = clock.nowMs() + LISTING_PAUSED_MS;
      log.warn('our instances cannot be listed: whose each is, is asked for by id', { error });
    }
  }
}
