/**
 * Histories of writes. A component appends to a branch; to bootstrap begins a branch of its own at the position of one node,
 * under the same state UUID, as Galera does, unless it is given another (docs/decisions/0027): that is how writes are lost without anybody being told.
 */
export interface Branch {
  readonly id: number;
  readonly uuid: string;
  readonly parent: Branch | null;
  /** The parent's last write that belongs to this branch too. */
  readonly forkAt: number;
}

/** What a data directory holds. */
export interface Data {
  readonly branch: Branch;
  readonly seqno: number;
  /** False after a crash: grastate.dat says -1 until `--wsrep-recover` has looked. */
  readonly clean: boolean;
}

/** Does a directory at (branch, seqno) hold the write `wanted` of `of`. */
export function holds(branch: Branch, seqno: number, of: Branch, wanted: number): boolean {
  let limit = seqno;
  for (let b: Branch | null = branch; b !== null; b = b.parent) {
    if (b === of) return limit >= wanted;
    limit = Math.min(limit, b.forkAt);
  }
  return false;
}

/** Is everything at `older` part of what is at `newer`. */
export const isPartOf = (older: Pick<Data, 'branch' | 'seqno'>, newer: Pick<Data, 'branch' | 'seqno'>): boolean =>
  holds(newer.branch, newer.seqno, older.branch, older.seqno);
