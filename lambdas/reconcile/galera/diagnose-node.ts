/**
 * One node's diagnosis, from three witnesses: EC2, our own probe (twice), and the peers. First match wins:
 *
 * | EC2                       | probe       | seen before | peers      | diagnosis                 |
 * | ------------------------- | ----------- | ----------- | ---------- | ------------------------- |
 * | shutting-down, terminated | (not asked) |             |            | NODE_TERMINATED           |
 * | stopping, stopped         | (not asked) |             |            | NODE_STOPPING             |
 * | pending                   | (not asked) |             |            | NODE_STARTING             |
 * | running, under a claim    | no Primary  |             |            | NODE_STARTING             |
 * | running                   | non-Primary |             | in Primary | NODE_PARTITIONED          |
 * | running                   | non-Primary |             | none is    | none: QUORUM_LOST tells   |
 * | running                   | Primary, not Synced or not ready    || | NODE_NOT_SYNCED           |
 * | running                   | Primary, Synced, read_only          || | NODE_READ_ONLY            |
 * | running                   | Primary, Synced                     || | none: as it should be     |
 * | running                   | rejected    |             |            | NODE_REJECTS_PROBE        |
 * | running                   | failed      | < 1.5 s ago |            | NODE_SUSPECT              |
 * | running                   | refused     | yes         |            | NODE_CRASHED              |
 * | running                   | silent      | yes         |            | NODE_UNRESPONSIVE         |
 * | running                   | unreachable | yes         | cast out   | NODE_UNRESPONSIVE         |
 * | running                   | unreachable | yes         | otherwise  | NODE_UNREACHABLE_BY_PLANE |
 *
 * `refused` and `silent` are the host's own word that the process is gone or mute, and need no peer to believe them;
 * `unreachable` may as well be our own network.
 */
import type { Diagnosis } from '../../model/diagnosis.ts';
import type { GaleraStatus } from '../../model/galera.ts';
import { CONFIRM_AFTER_MS, isProbeSuspicion, probeFailure } from '../../model/suspicion.ts';
import type { ProbeFailure } from '../../model/suspicion.ts';
import type { ClusterView, Node } from '../../model/view.ts';
import { isUnderClaim, liveClaim } from '../claim.ts';
import { replacedBy, sentenceOfProbe as sentence } from '../nodes.ts';
import { hasAnswered, peersOpinion } from './components.ts';
import type { AnsweredNode } from './components.ts';

/** Null when the node is as it should be, or when only the cluster as a whole can be judged. */
export function diagnoseNode(view: ClusterView, component: readonly AnsweredNode[], node: Node): Diagnosis | null {
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
      return diagnoseRunning(view, component, node);
  }
}

function diagnoseRunning(view: ClusterView, component: readonly AnsweredNode[], node: Node): Diagnosis | null {
  const { probe, instance } = node;
  const claim = liveClaim(view);
  const says = (code: Diagnosis['code'], ...evidence: string[]): Diagnosis => ({ code, node: instance.id, evidence });
  const expected = isUnderClaim(claim, instance) ? `${claim?.execution} is bringing ${instance.id} up` : null;
  switch (probe.kind) {
    case 'answered':
      return hasAnswered(node) ? diagnoseAnswer(component, node, node.probe.status, expected) : null;
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
      return expected !== null
        ? says('NODE_STARTING', expected, sentence(node))
        : diagnoseFailure(view, component, node);
  }
}

function diagnoseAnswer(
  component: readonly AnsweredNode[],
  node: Node,
  status: GaleraStatus,
  expected: string | null,
): Diagnosis | null {
  const { id } = node.instance;
  const says = (code: Diagnosis['code'], ...evidence: string[]): Diagnosis => ({ code, node: id, evidence });
  const inside = component.some((n) => n.instance.id === id);
  const others = component.map((n) => n.instance.id).join(', ');
  if (!inside && expected !== null) return says('NODE_STARTING', expected, `it answers as ${status.component}`);
  if (!inside && component.length > 0) {
    return says(
      'NODE_PARTITIONED',
      `${id} answers as ${status.component} (state ${status.stateUuid}, ${status.clusterSize} members)`,
      `${others} are in the primary component and it is not`,
    );
  }
  if (!inside) return null;
  if (status.state !== 'Synced' || !status.ready) {
    return says('NODE_NOT_SYNCED', `${id} says ${status.state}, wsrep_ready ${status.ready ? 'ON' : 'OFF'}`);
  }
  return status.readOnly ? says('NODE_READ_ONLY', `${id} is Synced, but read_only is ON`) : null;
}

function diagnoseFailure(view: ClusterView, component: readonly AnsweredNode[], node: Node): Diagnosis {
  const { id } = node.instance;
  const suspicion = view.ledger.suspicions[id];
  const says = (code: Diagnosis['code'], ...evidence: string[]): Diagnosis => ({ code, node: id, evidence });
  const ageMs = suspicion !== undefined && isProbeSuspicion(suspicion) ? view.atMs - suspicion.sinceMs : null;
  if (ageMs === null) return says('NODE_SUSPECT', sentence(node), 'it was not seen failing before');
  if (ageMs < CONFIRM_AFTER_MS) {
    return says(
      'NODE_SUSPECT',
      sentence(node),
      `first seen failing ${ageMs} ms ago, believed from ${CONFIRM_AFTER_MS} ms`,
    );
  }
  const opinion = peersOpinion(component, node);
  const evidence = [sentence(node), `failing for ${Math.round(ageMs / 100) / 10} s`, opinion.says];
  const failure: ProbeFailure = probeFailure(node.probe) ?? 'unreachable';
  switch (failure) {
    case 'refused':
      return says('NODE_CRASHED', ...evidence);
    case 'silent':
      return says('NODE_UNRESPONSIVE', ...evidence);
    case 'unreachable':
      return says(opinion.kind === 'castOut' ? 'NODE_UNRESPONSIVE' : 'NODE_UNREACHABLE_BY_PLANE', ...evidence);
  }
}
