/**
 * MariaDB's global transaction ids, as positions: for each domain the last transaction that is in. Kept as text, such as
 * `0-1-270` or `0-1-270,1-5-12`, domains in rising order. https://mariadb.com/kb/en/gtid/
 */
export interface Gtid {
  readonly domain: number;
  readonly server: number;
  /** Beyond what a number holds exactly, in theory: 64 bits. */
  readonly sequence: bigint;
}

/** Domain → the last transaction of it. */
export type GtidPosition = ReadonlyMap<number, Gtid>;

const FORM = /^(\d{1,10})-(\d{1,10})-(\d{1,20})$/;

/** Throws RangeError naming the text when it is no GTID. */
export function parseGtid(text: string): Gtid {
  const [, domain, server, sequence] = FORM.exec(text) ?? [];
  if (domain === undefined || server === undefined || sequence === undefined) {
    throw new RangeError(`${JSON.stringify(text)} is no GTID: expected domain-server-sequence, such as "0-1-270"`);
  }
  return { domain: Number(domain), server: Number(server), sequence: BigInt(sequence) };
}

/** The empty text is the position before everything. Throws RangeError for what is no list of GTIDs, one for each domain. */
export function parseGtidPosition(text: string): GtidPosition {
  const position = new Map<number, Gtid>();
  for (const part of text.split(',').filter((p) => p.trim() !== '')) {
    const gtid = parseGtid(part.trim());
    if (position.has(gtid.domain))
      throw new RangeError(
        `${JSON.stringify(text)} names domain ${gtid.domain} twice: expected one GTID for each domain`,
      );
    position.set(gtid.domain, gtid);
  }
  return position;
}

export const formatGtid = ({ domain, server, sequence }: Gtid): string => `${domain}-${server}-${sequence}`;

const inOrder = (position: GtidPosition): readonly Gtid[] => [...position.values()].sort((a, b) => a.domain - b.domain);

export const formatGtidPosition = (position: GtidPosition): string => inOrder(position).map(formatGtid).join(',');

/** The position after one more transaction. */
export const withGtid = (position: GtidPosition, gtid: Gtid): GtidPosition => new Map(position).set(gtid.domain, gtid);

/** Is all that `of` holds in `position` too. */
export function includesPosition(position: GtidPosition, of: GtidPosition): boolean {
  for (const gtid of of.values()) if (!includesGtid(position, gtid)) return false;
  return true;
}

/** Is the transaction in the position. */
export const includesGtid = (position: GtidPosition, { domain, sequence }: Gtid): boolean =>
  (position.get(domain)?.sequence ?? 0n) >= sequence;
