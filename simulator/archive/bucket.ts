/** S3 with one cluster's archive. Whoever writes there is told of to the truth, which nobody in the plane can ask. */
import type { StoredObject } from '../../lambdas/cloud/ports.ts';
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import { FakeBucket } from '../../test/fakes/index.ts';
import type { World } from '../world.ts';

/** What looks on. */
export interface BucketWitness {
  /** The object is there now. */
  stored(key: string, body: Uint8Array): void;
  /** It was there before, and whoever puts it may take it for stored. */
  found(key: string, body: Uint8Array, there: Uint8Array): void;
  /** Right before they go. */
  removes(keys: readonly string[]): void;
}

export class SimBucket extends FakeBucket {
  readonly #world: World;
  readonly #witness: BucketWitness;
  /** S3 answers nobody until then. */
  awayUntilMs = 0;

  constructor(world: World, witness: BucketWitness) {
    super(world.aws);
    this.#world = world;
    this.#witness = witness;
  }

  /** What `list` says, at once: a call passes the plane as a promise. Keys are ASCII, whose order is that of their bytes. */
  async listed(prefix: string, { after = '' }: { readonly after?: string } = {}): Promise<readonly StoredObject[]> {
    this.#answers();
    const found: StoredObject[] = [];
    for (const [key, body] of this.#world.aws.objects) {
      if (key > after && key.startsWith(prefix)) found.push({ key, sizeBytes: body.length });
    }
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  override async folders(prefix: string): Promise<readonly string[]> {
    this.#answers();
    return super.folders(prefix);
  }

  override async get(...asked: Parameters<FakeBucket['get']>): Promise<Uint8Array | null> {
    this.#answers();
    return super.get(...asked);
  }

  override async put(key: string, body: Uint8Array): Promise<'stored' | 'exists'> {
    this.#answers();
    const there = this.#world.aws.objects.get(key);
    if (there !== undefined) {
      this.#witness.found(key, body, there);
      return 'exists';
    }
    this.overwrite(key, body);
    return 'stored';
  }

  /** As a PUT without a condition does it. */
  overwrite(key: string, body: Uint8Array): void {
    this.#world.aws.objects.set(key, Uint8Array.from(body));
    this.#witness.stored(key, body);
  }

  override async remove(keys: readonly string[]): Promise<void> {
    this.#answers();
    this.#witness.removes(keys);
    for (const key of keys) this.#world.aws.objects.delete(key);
  }

  #answers(): void {
    if (this.#world.clock.nowMs() < this.awayUntilMs) throw new CloudUnavailable('s3: SlowDown: the bucket is away');
  }
}
