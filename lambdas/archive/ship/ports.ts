/** What both engines' shippers share: pieces of log go to the bucket in order, several under way at once, memory bounded. */
import type {
  ArchiveBucket,
  Clock,
  Instances,
  Leases,
  Ledger,
  Log,
  Metrics,
  Secrets,
  Specs,
} from '../../cloud/ports.ts';
import type { Frame } from './compress.ts';

export interface ShipPorts {
  readonly clock: Clock;
  readonly specs: Specs;
  readonly instances: Instances;
  readonly ledger: Ledger;
  readonly leases: Leases;
  readonly secrets: Secrets;
  readonly bucket: ArchiveBucket;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Where no zstd is to be had or to be waited for: a simulation. */
  readonly frame?: Frame;
  /** Starts the successor: this function again, for the same cluster. */
  handOver(cluster: string): Promise<void>;
}

/** A stretch of log that is whole, with its key. */
export interface Piece {
  readonly key: string;
  readonly chunks: readonly Uint8Array[];
  /** Called when the chunks have been compressed: their memory may be used again. */
  readonly release?: () => void;
}

/** A stretch too large to be held: its bytes come one after another. */
export interface OpenPiece {
  /** Resolves when there is room for more. */
  append(chunk: Uint8Array): Promise<void>;
  /** Ends it; `onStored` comes in its turn among the pieces. */
  close(): Promise<void>;
  /** Ends it without an object: nothing is stored, and `onStored` is not called. */
  discard(): Promise<void>;
}

/**
 * Compresses (zstd) and stores pieces. Several are under way at once; `onStored` is called for each in the order in which
 * they were pushed, and only when S3 has confirmed it and all before it (safety rule 10).
 */
export interface PieceQueue {
  /** Resolves when there is room for the next. Throws when an earlier one could not be stored. */
  push(piece: Piece, onStored: () => void): Promise<void>;
  /** Multipart upload; becomes visible when it is closed and whole. */
  open(key: string, onStored: () => void): Promise<OpenPiece>;
  /** Resolves when all that was pushed is stored. Throws when something could not be. */
  drain(): Promise<void>;
  /** Gives up: uploads under way are ended, no `onStored` is called any more. */
  abort(): Promise<void>;
}
