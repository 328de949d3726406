/**
 * Log sequence numbers of PostgreSQL: a place in the write-ahead log, written `16/B374D848` (two halves of 64 bits in
 * hexadecimal). Kept as text, which travels through JSON unharmed. https://www.postgresql.org/docs/15/datatype-pg-lsn.html
 */
export type Lsn = string;

const FORM = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

export const isLsn = (text: string): boolean => FORM.test(text);

/** Bytes from the beginning of the log. Throws RangeError naming the text when it is no LSN. */
export function lsnBytes(lsn: Lsn): bigint {
  const [, high, low] = FORM.exec(lsn) ?? [];
  if (high === undefined || low === undefined) {
    throw new RangeError(`${JSON.stringify(lsn)} is no LSN: expected two hexadecimal numbers such as "16/B374D848"`);
  }
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** Negative when `a` lies before `b`, 0 when they are the same place. Only within one timeline does it say who is ahead. */
export function compareLsn(a: Lsn, b: Lsn): number {
  const difference = lsnBytes(a) - lsnBytes(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** How many bytes `behind` lacks of `ahead`; 0 when it lacks none. */
export function lagBytes(ahead: Lsn, behind: Lsn): number {
  const lag = lsnBytes(ahead) - lsnBytes(behind);
  return lag > 0n ? Number(lag) : 0;
}

/** A place in the log of one history. */
export interface Position {
  readonly timeline: number;
  readonly lsn: Lsn;
}

/** Safety rule 4: by timeline first, then LSN. Positive when `a` is the more advanced one. */
export const comparePosition = (a: Position, b: Position): number =>
  a.timeline !== b.timeline ? a.timeline - b.timeline : compareLsn(a.lsn, b.lsn);
