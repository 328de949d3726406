/** Who called what, in the order of the calls. */
import type { Caller } from './faults.ts';

export interface CallRecord {
  readonly atMs: number;
  readonly caller: Caller;
  readonly service: string;
  readonly operation: string;
  /** Of the answer; null while it is awaited. */
  status: number | null;
}

export type CallCounts = Readonly<Record<string, number>>;

export interface Calls {
  readonly records: readonly CallRecord[];
  /** A moment to count from. */
  mark(): number;
  /**
   * `{ "ec2:DescribeInstances": 12 }` since the mark (0: ever), of the callers that `of` accepts.
   * Without it: all but the rehearsal and the polling of Lambda's event source mappings.
   */
  counts(mark?: number, of?: (caller: Caller) => boolean): CallCounts;
  /** The same for each function, by name. */
  byFunction(mark?: number): Readonly<Record<string, CallCounts>>;
  begin(call: Omit<CallRecord, 'status'>): CallRecord;
}

function tally(records: readonly CallRecord[]): CallCounts {
  const counts: Record<string, number> = {};
  for (const { service, operation } of records) {
    const key = `${service}:${operation}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

const isPlane = (caller: Caller): boolean => caller.kind !== 'rehearsal' && caller.kind !== 'mapping';

export function createCalls(): Calls {
  const records: CallRecord[] = [];
  return {
    records,
    mark: () => records.length,
    counts: (mark = 0, of = isPlane) => tally(records.slice(mark).filter((r) => of(r.caller))),
    byFunction(mark = 0) {
      const ofFunctions = records.slice(mark).filter((record) => record.caller.kind === 'function');
      const groups = Object.groupBy(ofFunctions, (record) => record.caller.name);
      return Object.fromEntries(Object.entries(groups).map(([name, calls]) => [name, tally(calls ?? [])]));
    },
    begin(call) {
      const record = { ...call, status: null };
      records.push(record);
      return record;
    },
  };
}
