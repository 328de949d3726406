/** Is what was restored what was asked for: pure. */
import { includesPosition, parseGtidPosition } from '../model/archive/gtid.ts';
import { compareLsn, lsnBytes } from '../model/lsn.ts';
import type { Position } from '../model/lsn.ts';
import type { Probe } from '../model/view.ts';
import type { CarriedPlan, RestoreAnswer } from './state.ts';

/** `1/0/3000148`; null for a GTID position. */
function walPlace(text: string): Position | null {
  const [, timeline, lsn] = /^(\d+)\/([0-9A-Fa-f]+\/[0-9A-Fa-f]+)$/.exec(text) ?? [];
  return timeline === undefined || lsn === undefined ? null : { timeline: Number(timeline), lsn };
}

/** Why the place where the script stopped is not the target's; null when it is. */
export function strayed(plan: Pick<CarriedPlan, 'target' | 'end' | 'baseEnd'>, answer: RestoreAnswer): string | null {
  const { kind, value } = plan.target;
  const { restoredTo, lastTransactionAt } = answer;
  if (kind === 'time' && lastTransactionAt !== null && Date.parse(lastTransactionAt) > Math.ceil(Date.parse(value))) {
    return `its last transaction is of ${lastTransactionAt}, after ${value}`;
  }
  const [at, end, least] = [walPlace(restoredTo), walPlace(plan.end), walPlace(plan.baseEnd)];
  if (end !== null) {
    if (at === null || least === null) return `it is at ${JSON.stringify(restoredTo)}, expected a timeline and an LSN`;
    const between =
      compareLsn(at.lsn, least.lsn) >= 0 && compareLsn(at.lsn, end.lsn) <= 0 && at.timeline <= end.timeline;
    return between ? null : `it is at ${restoredTo}, expected a place from ${plan.baseEnd} to ${plan.end}`;
  }
  return strayedByGtid(kind, value, plan, restoredTo);
}

function strayedByGtid(
  kind: string,
  value: string,
  plan: Pick<CarriedPlan, 'end' | 'baseEnd'>,
  restoredTo: string,
): string | null {
  const read = (text: string) => parseGtidPosition(text === 'none' ? '' : text);
  const at = read(restoredTo);
  const wanted = kind === 'gtid' ? value : kind === 'latest' ? plan.end : plan.baseEnd;
  if (!includesPosition(at, read(wanted))) return `it is at ${restoredTo}, which lacks some of ${wanted}`;
  const most = kind === 'gtid' ? new Map([...read(plan.end), ...read(value)]) : read(plan.end);
  return includesPosition(most, at) ? null : `it is at ${restoredTo}, beyond ${kind === 'gtid' ? value : plan.end}`;
}

/** Why the node is not a database of its own that has what was restored; null when it is. */
export function servesAs(
  probe: Probe,
  plan: Pick<CarriedPlan, 'history'>,
  answer: RestoreAnswer | null,
): string | null {
  if (probe.kind !== 'answered') return `it does not answer (${probe.kind}: ${probe.detail})`;
  const { status } = probe;
  if (status.engine === 'galera') return status.ready ? null : `it is ${status.state}, not ready`;
  if (status.inRecovery) return 'it is still in recovery';
  if (status.systemId !== plan.history) return `it holds the database ${status.systemId}, expected ${plan.history}`;
  const place = answer === null ? null : walPlace(answer.restoredTo);
  return place !== null && lsnBytes(status.lsn) < lsnBytes(place.lsn)
    ? `it is at ${status.lsn}, before ${answer?.restoredTo ?? ''} where it was restored to`
    : null;
}
