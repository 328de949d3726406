/**
 * What a warm function remembers from one batch of signals to the next, so that a burst of thousands about the same clusters
 * does not cost two calls for every ten (docs/decisions/0017-a-look-answers-what-was-sent-before-it.md, 0025). A cold one remembers nothing, and asks.
 */
import { Listing, OWNER_KEPT_MS } from './listing.ts';

/** Beyond this many all are forgotten, so that a function that lives for hours does not fill up. */
const MOST = 50_000;

export class Memory {
  readonly #container: string;
  readonly #owners = new Map<string, { readonly cluster: string; readonly atMs: number }>();
  readonly #asked = new Map<string, number>();
  #causes = 0;
  readonly listing = new Listing();

  /** `container`: a name that no other execution environment has or had. */
  constructor(container: string) {
    this.#container = container;
  }

  /**
   * The instance's cluster; null: it is not ours, as far as a message of that time is concerned; undefined: it is not known. One that is
   * not ours is not remembered from a question by id, since EC2 may show the tags of a new instance late. As `Listing.ownerOf`.
   */
  ownerOf(id: string, sentMs: number | null, nowMs: number): string | null | undefined {
    const owner = this.#owners.get(id);
    if (owner !== undefined && nowMs - owner.atMs <= OWNER_KEPT_MS) return owner.cluster;
    return this.listing.ownerOf(id, sentMs, nowMs);
  }

  noteOwner(id: string, cluster: string, atMs: number): void {
    if (this.#owners.size >= MOST) this.#owners.clear();
    this.#owners.set(id, { cluster, atMs });
  }

  /**
   * Before which moment whatever was sent about the cluster is answered by a request of this function; null: none is known.
   * Milliseconds.
   */
  askedMs(cluster: string): number | null {
    return this.#asked.get(cluster) ?? null;
  }

  /**
   * `beforeMs`: a moment before the request was sent. Only of a request under a `freshCause`: one that SQS takes for a double of
   * an earlier one is swallowed, and the earlier one may have been dealt with long ago.
   */
  noteAsked(cluster: string, beforeMs: number): void {
    if (this.#asked.size >= MOST) this.#asked.clear();
    this.#asked.set(cluster, beforeMs);
  }

  /** A cause that no request ever had. */
  freshCause(): string {
    this.#causes += 1;
    return `backlog-${this.#container}-${this.#causes}`;
  }
}
