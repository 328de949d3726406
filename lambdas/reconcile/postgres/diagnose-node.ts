/**
 * One PostgreSQL node's diagnosis: EC2, our own probe (twice), and the peers. First match wins.
 *
 * Any node:
 * | EC2                       | probe             | seen before | diagnosis            |
 * | ------------------------- | ----------------- | ----------- | -------------------- |
 * | shutting-down, terminated | (not asked)       |             | NODE_TERMINATED      |
 * | stopping, stopped         | (not asked)       |             | NODE_STOPPING        |
 * | pending                   | (not asked)       |             | NODE_STARTING        |
 * | running                   | rejected          |             | NODE_REJECTS_PROBE   |
 * | running                   | failed, or no part of the cluster yet, in a workflow's hands | | NODE_STARTING |
 * | running                   | failed            | < 1.5 s ago | NODE_SUSPECT         |
 * | running                   | refused           | yes         | NODE_CRASHED         |
 * | running                   | answers, another system identifier || NODE_FOREIGN_DATA    |
 *
 * The primary, by the ledger, silent or unreachable for 1.5 s or more:
 * | replicas that follow it                     | diagnosis                             |
 * | ------------------------------------------- | ------------------------------------- |
 * | none answers                                | NODE_UNREACHABLE_BY_PLANE             |
 * | none has heard from it for 2.5 s            | NODE_UNRESPONSIVE                     |
 * | one has, since our first failed probe began | PRIMARY_PARTITIONED                   |
 * | one has, before that                        | NODE_SUSPECT (asked again in a moment) |
 * and when it answers as a standby: PRIMARY_MISSING.
 *
 * Another node, silent or unreachable for 1.5 s or more:
 * | probe       | the primary         | diagnosis                 |
 * | ----------- | ------------------- | ------------------------- |
 * | silent      |                     | NODE_UNRESPONSIVE         |
 * | unreachable | does not stream to it | NODE_UNRESPONSIVE       |
 * | unreachable | streams to it, or does not answer | NODE_UNREACHABLE_BY_PLANE |
 *
 * Another node that answers: `diagnose-replica.ts`.
 */
import type { Diagnosis } from '../../model/diagnosis.ts';
import { CONFIRM_AFTER_MS, isProbeSuspicion, probeFailure } from '../../model/suspicion.ts';
import type { ProbeFailure } from '../../model/suspicion.ts';
import type { ClusterView, Node } from '../../model/view.ts';
import { isUnderClaim, liveClaim } from '../claim.ts';
import { replacedBy, sentenceOfProbe } from '../nodes.ts';
import { diagnoseReplica } from './diagnose-replica.ts';
import { attached, hasAnswered, servingPrimary, systemIdOf } from './status.ts';
import type { AnsweredNode } from './status.ts';
import { QUIET_AFTER_MS, opinionOf } from './witnesses.ts';

/** Null when the node is as it should be, or when only the cluster as a whole can be judged. */
export function diagnoseNode(view: ClusterView, node: Node): Diagnosis | null {
  const { id, state } = node.instance;
  const says = (code: Diagnosis['code'], ...evidence: string[]): Diagnosis => ({ code, node: id, evidence });
  switch (state) {
    case 'shutting-down':
    case 'terminated':
      return says('NODE_TERMINATED', `EC2 says that ${id} is ${state}`, ...replacedBy(view, id));
    case 'stopping':
    case 'stopped':
      return says('NODE_STOPPING', `EC2 says that ${id} is ${state}`, ...replacedBy(view, id));
    case 'pending':
      return says('NODE_STARTING', `EC2 says that ${id} is pending`);
    case 'running':
      return diagnoseRunning(view, node);
  }
}

function diagnoseRunning(view: ClusterView, node: Node): Diagnosis | null {
  const { probe, instance } = node;
  const claim = liveClaim(view);
  const says = (code: Diagnosis['code'], ...evidence: string[]): Diagnosis => ({ code, node: instance.id, evidence });
  const expected = isUnderClaim(claim, instance) ? `${claim?.execution} has ${instance.id} in hand` : null;
  switch (probe.kind) {
    case 'answered':
      return hasAnswered(node) ? diagnoseAnswer(view, node, expected) : null;
    case 'rejected':
      return says(
        'NODE_REJECTS_PROBE',
        `${instance.id} refused the probe: ${probe.detail}; it lives, but cannot be seen`,
      );
    case 'skipped':
      return says('NODE_STARTING', `${instance.id} was not probed: ${probe.detail}`);
    case 'refused':
    case 'silent':
    case 'unreachable':
      return expected === null ? diagnoseFailure(view, node) : says('NODE_STARTING', expected, sentenceOfProbe(node));
  }
}

function diagnoseAnswer(view: ClusterView, node: AnsweredNode, expected: string | null): Diagnosis | null {
  const { id } = node.instance;
  const { status } = node.probe;
  const systemId = systemIdOf(view);
  if (systemId !== null && status.systemId !== systemId) {
    const evidence = `${id} holds the database ${status.systemId}, the cluster's is ${systemId}: not a copy of it`;
    return { code: 'NODE_FOREIGN_DATA', node: id, evidence: [evidence] };
  }
  if (id !== view.ledger.writer) return diagnoseReplica(view, node, expected);
  if (!status.inRecovery) return null;
  if (expected !== null) return { code: 'NODE_STARTING', node: id, evidence: [expected, 'it answers as a standby'] };
  const evidence = `${id} is the primary by the ledger, and answers as a standby (timeline ${status.timeline}, ${status.lsn})`;
  return { code: 'PRIMARY_MISSING', node: id, evidence: [evidence] };
}

/** Since when our probes of the node fail, by the ledger; null when this is the first that failed. */
export function failingSinceMs(view: ClusterView, id: string): number | null {
  const suspicion = view.ledger.suspicions[id];
  return suspicion !== undefined && isProbeSuspicion(suspicion) ? suspicion.sinceMs : null;
}

function diagnoseFailure(view: ClusterView, node: Node): Diagnosis {
  const { id } = node.instance;
  const says = (code: Diagnosis['code'], ...evidence: string[]): Diagnosis => ({ code, node: id, evidence });
  const sinceMs = failingSinceMs(view, id);
  if (sinceMs === null) return says('NODE_SUSPECT', sentenceOfProbe(node), 'it was not seen failing before');
  const ageMs = view.atMs - sinceMs;
  if (ageMs < CONFIRM_AFTER_MS) {
    const early = `first seen failing ${ageMs} ms ago, believed from ${CONFIRM_AFTER_MS} ms`;
    return says('NODE_SUSPECT', sentenceOfProbe(node), early);
  }
  const evidence = [sentenceOfProbe(node), `failing for ${Math.round(ageMs / 100) / 10} s`];
  const failure: ProbeFailure = probeFailure(node.probe) ?? 'unreachable';
  if (failure === 'refused') return says('NODE_CRASHED', ...evidence);
  const [code, opinion] =
    id === view.ledger.writer ? judgePrimary(view, node, sinceMs) : judgeReplica(view, node, failure);
  return says(code, ...evidence, opinion);
}

function judgePrimary(view: ClusterView, node: Node, sinceMs: number): readonly [Diagnosis['code'], string] {
  const opinion = opinionOf(view, node, sinceMs);
  switch (opinion.kind) {
    case 'quiet':
      return ['NODE_UNRESPONSIVE', opinion.says];
    case 'heard':
      return ['PRIMARY_PARTITIONED', opinion.says];
    case 'tooEarly':
      return ['NODE_SUSPECT', `${opinion.says}, and is believed after ${QUIET_AFTER_MS} ms of silence`];
    case 'nobody':
      return ['NODE_UNREACHABLE_BY_PLANE', opinion.says];
  }
}

/** A mute process is the host's own word that it serves nobody; unreachable may as well be our own network. */
function judgeReplica(view: ClusterView, node: Node, failure: ProbeFailure): readonly [Diagnosis['code'], string] {
  const primary = servingPrimary(view);
  if (primary === null)
    return [failure === 'silent' ? 'NODE_UNRESPONSIVE' : UNSEEN, 'the primary cannot be asked for it'];
  const { id } = node.instance;
  const stream = attached(primary, id);
  if (stream === null) return ['NODE_UNRESPONSIVE', `${primary.instance.id} has no stream to it`];
  return [
    failure === 'silent' ? 'NODE_UNRESPONSIVE' : UNSEEN,
    `${primary.instance.id} still has a stream to it (${stream.state})`,
  ];
}

const UNSEEN: Diagnosis['code'] = 'NODE_UNREACHABLE_BY_PLANE';
