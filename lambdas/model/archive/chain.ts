/** The unbroken log that follows a base backup, as far as it leads: pure, by names alone. */
import type { BinlogHole } from './binlog-chain.ts';
import { binlogChain } from './binlog-chain.ts';
import type { Base, BinlogEntry, Catalogue } from './catalogue.ts';
import type { GtidPosition } from './gtid.ts';
import { formatGtidPosition, includesPosition } from './gtid.ts';
import type { LogPosition } from './keys.ts';
import type { Chain, Fault, HistoryFiles } from './linked.ts';
import { walFrom } from './wal-from-base.ts';

export type { Chain, Fault, HistoryFiles };

/** Follows the log from a base backup. Throws RangeError when the base is not of the catalogue's engine. */
export function chainFrom(catalogue: Catalogue, base: Pick<Base, 'id' | 'start' | 'end'>, files: HistoryFiles): Chain {
  const { start, end } = base;
  if (catalogue.engine === 'postgres' && start.engine === 'postgres' && end.engine === 'postgres') {
    return walFrom(catalogue, { id: base.id, start, end }, files);
  }
  if (catalogue.engine === 'galera' && start.engine === 'galera' && end.engine === 'galera') {
    return binlogFrom(catalogue.binlog, start.gtid, end.gtid);
  }
  throw new RangeError(`base ${base.id} is ${start.engine}'s, expected one of ${catalogue.engine}`);
}

function binlogFrom(entries: readonly BinlogEntry[], start: GtidPosition, consistentAt: GtidPosition): Chain {
  const { links, upTo, coveredMs, hole } = binlogChain(entries, start, null);
  return {
    ...{ links: links.map(({ object }) => object), coveredMs },
    end: { engine: 'galera', gtid: upTo },
    consistent: includesPosition(upTo, consistentAt),
    live: true,
    fault: hole === null ? null : { code: 'log-missing', sentence: sentenceOf(hole) },
  };
}

const orBeginning = (position: GtidPosition): string => formatGtidPosition(position) || 'the beginning';

const sentenceOf = ({ after, next }: BinlogHole): string =>
  `transactions between ${orBeginning(after)} and ${orBeginning(next)} are missing`;

/** `1/0/3000148` (timeline, LSN) or `0-1-270`; `none` for the position before everything. */
export const positionText = (position: LogPosition): string =>
  position.engine === 'postgres' ? `${position.timeline}/${position.lsn}` : formatGtidPosition(position.gtid) || 'none';
