/** What the archive needs of the outside world; a part of `ports.ts`, which is where it is imported from. */

/** An object as a listing shows it. Its dates are left out on purpose: they do not survive a copy of the bucket. */
export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
}

/** One uploaded part: `number` from 1, the entity tag that S3 answered. */
export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
  readonly sizeBytes: number;
  /** Lower-case hexadecimal; null when it was uploaded without one. */
  readonly sha256: string | null;
}

/**
 * The archive's bucket. Nothing is ever overwritten: a key that exists is answered `exists`, with what was there untouched
 * (`If-None-Match: *`, https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
 * Throws CloudUnavailable after the adapter's own retries: whether the object is there is then not known.
 */
export interface ArchiveBucket {
  /** In the order of keys, those beyond `after` when it is given; all pages, read as they are asked for. */
  list(prefix: string, options?: { readonly after?: string }): AsyncIterable<StoredObject>;
  /** The next level of names below a prefix, each with its trailing slash: `orders/` → `orders/7301…/`. */
  folders(prefix: string): Promise<readonly string[]>;
  /** Null when there is no such object. `range`: bytes from (with) and to (without). */
  get(key: string, range?: { readonly from: number; readonly to: number }): Promise<Uint8Array | null>;
  /** Answered when S3 has it: only then may a position be confirmed (safety rule 10). */
  put(key: string, body: Uint8Array): Promise<'stored' | 'exists'>;
  beginUpload(key: string): Promise<string>;
  /** 5 MiB at least, but for the last one. */
  uploadPart(key: string, uploadId: string, number: number, body: Uint8Array): Promise<UploadedPart>;
  parts(key: string, uploadId: string): Promise<readonly UploadedPart[]>;
  completeUpload(key: string, uploadId: string, parts: readonly UploadedPart[]): Promise<'stored' | 'exists'>;
  /** Whether or not it is (still) there. */
  abortUpload(key: string, uploadId: string): Promise<void>;
  /** Puts a delete marker; the versions stay until their lock and the lifecycle rule end them. */
  remove(keys: readonly string[]): Promise<void>;
}

/** Who does a thing of which there is to be one at a time, for a while; by the ledger's conditional writes. */
export interface Leases {
  /** Takes or renews it until `untilMs`. False when another holder's has not run out. */
  take(cluster: string, what: string, holder: string, untilMs: number): Promise<boolean>;
  /** If `holder` has it; otherwise does nothing. */
  release(cluster: string, what: string, holder: string): Promise<void>;
}

/** Executions that the archive starts by itself. */
export interface ArchiveStarts {
  /** With the input `{"cluster": …}`; an execution of that name that exists already is as good. */
  start(machine: 'backup' | 'drill', name: string, cluster: string): Promise<void>;
}

/** Of replication slots on a PostgreSQL node. */
export interface SlotChanges {
  readonly create: readonly string[];
  readonly drop: readonly string[];
  /** Slot → LSN. */
  readonly advance?: Readonly<Record<string, string>>;
}
