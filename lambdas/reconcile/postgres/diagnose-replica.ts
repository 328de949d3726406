/**
 * A PostgreSQL node that answers and is not the ledger's writer. First match wins:
 *
 * | Role    | state                                                           | diagnosis          |
 * | ------- | --------------------------------------------------------------- | ------------------ |
 * | any     | in the hands of a workflow, and not streaming from the primary  | NODE_STARTING      |
 * | primary |                                                                 | NODE_OTHER_PRIMARY |
 * | standby | the primary does not answer as one                              | none: the primary's diagnosis tells |
 * | standby | streams from the primary, more than maxLagBytes behind          | NODE_LAGGING       |
 * | standby | streams from the primary                                        | none: as it should be |
 * | standby | its slot on the primary is `lost`                               | NODE_SLOT_LOST     |
 * | standby | its history has left the primary's ¹                            | NODE_OLD_TIMELINE  |
 * | standby | anything else                                                   | NODE_NOT_STREAMING |
 *
 * ¹ Its timeline is a later one than the primary's, or an earlier one on which it has got further than the primary is at
 * all; or an earlier one, and it has been told to follow the primary for `deadAfterSeconds` and does not stream: the
 * primary refuses who has passed the point where the timelines part.
 */
import { compareLsn } from '../../model/lsn.ts';
import type { Diagnosis } from '../../model/diagnosis.ts';
import { streamsFrom } from '../../model/postgres.ts';
import type { ClusterView } from '../../model/view.ts';
import { engineOf, isSlotLost, replayLag, servingPrimary } from './status.ts';
import type { AnsweredNode } from './status.ts';

/** Null when it is as it should be. `expected`: why a workflow's hand on it explains what it is not yet. */
export function diagnoseReplica(view: ClusterView, node: AnsweredNode, expected: string | null): Diagnosis | null {
  const { id } = node.instance;
  const { status } = node.probe;
  const primary = servingPrimary(view);
  const says = (code: Diagnosis['code'], ...evidence: string[]): Diagnosis => ({ code, node: id, evidence });
  const streams = primary !== null && streamsFrom(status, primary.instance.privateIp);
  if (expected !== null && !streams) {
    return says('NODE_STARTING', expected, `it answers as a ${status.inRecovery ? 'standby' : 'primary'}`);
  }
  if (!status.inRecovery) {
    return view.ledger.writer === null
      ? null
      : says(
          'NODE_OTHER_PRIMARY',
          `${id} says that it is the primary (timeline ${status.timeline}), the ledger says ${view.ledger.writer}`,
        );
  }
  if (primary === null) return null;
  if (streams) return lagging(view, node);
  const how = describeStream(node);
  if (isSlotLost(primary, id)) {
    return says('NODE_SLOT_LOST', how, `the WAL that its slot on ${primary.instance.id} reserved is gone`);
  }
  const left = leftHistory(view, node, primary);
  return left === null ? says('NODE_NOT_STREAMING', how) : says('NODE_OLD_TIMELINE', how, left);
}

function lagging(view: ClusterView, node: AnsweredNode): Diagnosis | null {
  const lag = replayLag(view, node);
  const { maxLagBytes } = engineOf(view);
  if (lag <= maxLagBytes) return null;
  const evidence = `${node.instance.id} is ${lag} bytes behind, ${maxLagBytes} are accepted`;
  return { code: 'NODE_LAGGING', node: node.instance.id, evidence: [evidence] };
}

function describeStream({ instance, probe: { status } }: AnsweredNode): string {
  const stream = status.receiver === null ? 'no stream' : `a stream that is ${status.receiver.status}`;
  return `${instance.id} has ${stream} and follows ${status.followsHost ?? 'nobody'} (timeline ${status.timeline}, ${status.lsn})`;
}

/** Why the standby cannot become a replica of the primary as it is; null when it may. */
function leftHistory(view: ClusterView, node: AnsweredNode, primary: AnsweredNode): string | null {
  const mine = node.probe.status;
  const theirs = primary.probe.status;
  const { id } = primary.instance;
  if (mine.timeline === theirs.timeline) return null;
  if (mine.timeline > theirs.timeline) return `${id} is on timeline ${theirs.timeline}, which is an earlier one`;
  if (compareLsn(mine.lsn, theirs.lsn) > 0) {
    return `${id} is on timeline ${theirs.timeline} at ${theirs.lsn}, and it is beyond that on an earlier one`;
  }
  const noted = view.ledger.suspicions[node.instance.id];
  const lasted = noted?.kind === 'broken' && view.atMs - noted.sinceMs >= view.spec.timing.deadAfterSeconds * 1000;
  return lasted && mine.followsHost === primary.instance.privateIp
    ? `${id} is on timeline ${theirs.timeline}, and does not let it in: it is past the point where they part`
    : null;
}
