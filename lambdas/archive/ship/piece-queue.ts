/**
 * Compresses pieces of log and stores them. Pieces are worked on side by side, and confirmed in the order in which they came,
 * each only when S3 has it and all before it (safety rule 10).
 *
 *   push ──▶ compress (a few) ──▶ put (some) ──▶ onStored, in order
 *
 * What is on the way is counted in bytes: as they came until they are compressed, as they are stored from then on.
 */
import type { QueueOptions, StoredPiece } from './conveyor.ts';
import { bytesOf, Conveyor } from './conveyor.ts';
import { openPiece } from './open-piece.ts';
import type { OpenPiece, Piece, PieceQueue } from './ports.ts';

/** See `PieceQueue` for what it promises. */
export function pieceQueue(options: QueueOptions): PieceQueue {
  const conveyor = new Conveyor(options);
  const opened = new Set<{ giveUp(): Promise<void> }>();

  const store = async (piece: Piece, done: (stored: StoredPiece) => void): Promise<void> => {
    const rawBytes = bytesOf(piece.chunks);
    const body = await conveyor.compressed(piece.chunks);
    piece.release?.();
    // That it is there already, under a name that says which bytes it holds, is as good.
    await conveyor.store(body, () => conveyor.bucket.put(piece.key, body));
    done({ key: piece.key, rawBytes, storedBytes: body.length });
  };

  return {
    async push(piece, onStored) {
      conveyor.check();
      void store(piece, conveyor.turn(onStored)).catch((error: unknown) => conveyor.fail(error));
      await conveyor.room();
    },

    async open(key, onStored): Promise<OpenPiece> {
      conveyor.check();
      const opening = openPiece(conveyor, key, conveyor.turn(onStored));
      opened.add(opening);
      await conveyor.room();
      return opening;
    },

    drain: () => conveyor.empty(),

    async abort() {
      conveyor.abort();
      await Promise.all([...opened].map((piece) => piece.giveUp()));
    },
  };
}
