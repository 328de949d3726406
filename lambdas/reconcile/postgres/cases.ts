/**
 * What a PostgreSQL cluster has to be recovered from. Pure. While the primary is lost only that is recovered; while nothing
 * is known of it, nothing is: a replacement would hold the claim that a failover may need in a second.
 *
 * | Diagnosis                                                   | recovery | after                                    |
 * | ----------------------------------------------------------- | -------- | ---------------------------------------- |
 * | the primary is lost (the whole cluster down included)       | failover | at once                                  |
 * | NODE_TERMINATED                                             | replace  | at once                                  |
 * | NODE_CRASHED                                                | rejoin   | at once, if the primary has no stream to it |
 * | NODE_OTHER_PRIMARY, NODE_OLD_TIMELINE, NODE_SLOT_LOST       | rejoin   | at once                                  |
 * | NODE_NOT_STREAMING                                          | rejoin   | `deadAfterSeconds`, when following did not mend it |
 * | NODE_UNRESPONSIVE                                           | replace  | `deadAfterSeconds`, if the primary has no stream to it |
 * | NODE_STOPPING                                               | replace  | `deadAfterSeconds`                       |
 * | no instance explains the gap                                | add      | `deadAfterSeconds`                       |
 */
import type { Refusal } from '../../model/change.ts';
import type { DiagnosisCode } from '../../model/diagnosis.ts';
import type { Node } from '../../model/view.ts';
import { lostCases, refuseCase, troubledSinceMs } from '../cases.ts';
import type { Case, Objections } from '../cases.ts';
import { isUnclear } from '../situation.ts';
import type { Situation } from '../situation.ts';
import type { Primary } from './primary.ts';
import { attached, servingPrimary } from './status.ts';

const ORDER: readonly DiagnosisCode[] = [
  'NODE_OTHER_PRIMARY',
  'NODE_CRASHED',
  'NODE_UNRESPONSIVE',
  'NODE_OLD_TIMELINE',
  'NODE_SLOT_LOST',
  'NODE_NOT_STREAMING',
  'NODE_STOPPING',
];

const REJOINED: readonly DiagnosisCode[] = [
  'NODE_OTHER_PRIMARY',
  'NODE_CRASHED',
  'NODE_OLD_TIMELINE',
  'NODE_SLOT_LOST',
  'NODE_NOT_STREAMING',
];

const WAITED_FOR: readonly DiagnosisCode[] = ['NODE_NOT_STREAMING', 'NODE_UNRESPONSIVE', 'NODE_STOPPING'];

export function failoverCase(primary: Extract<Primary, { kind: 'lost' }>): Case {
  return { node: primary.writer, diagnosis: primary.code, mode: 'failover', reason: primary.why, dueAtMs: null };
}

/** Nodes to be brought back while the primary serves. A stream that was only just lost is not yet worth an incident. */
export const replicaCases = (s: Situation): readonly Case[] =>
  lostCases(s, ORDER, caseOf).filter((c) => c.node === null || !isUnclear(s, c.node));

function caseOf(s: Situation, node: Node): Case {
  const { id } = node.instance;
  const diagnosis = s.codeOf(id) ?? 'NODE_NOT_STREAMING';
  const reason = `${diagnosis}: ${s.evidenceOf(id).join('; ')}`;
  const mode = REJOINED.includes(diagnosis) ? 'rejoin' : 'replace';
  const deadAtMs = troubledSinceMs(s, id) + s.view.spec.timing.deadAfterSeconds * 1000;
  return { node: id, diagnosis, mode, reason, dueAtMs: WAITED_FOR.includes(diagnosis) ? deadAtMs : null };
}

export const postgresObjections: Objections = {
  /** The primary's word against our probe's: a node that it streams to lives. */
  early(s, c): Refusal | null {
    if (c.node === null || (c.diagnosis !== 'NODE_CRASHED' && c.diagnosis !== 'NODE_UNRESPONSIVE')) return null;
    const primary = servingPrimary(s.view);
    const stream = primary === null ? null : attached(primary, c.node);
    if (primary === null || stream === null || c.mode === 'failover') return null;
    const why = `${primary.instance.id} still has a stream to it (${stream.state})`;
    return refuseCase(s, c, 'REFUSED_TOO_EARLY', why);
  },
  /** Safety rule 6: nothing but a failover is begun while no primary serves, and never on the primary itself. */
  late(s, c): Refusal | null {
    if (c.mode === 'failover') return null;
    const primary = servingPrimary(s.view);
    if (primary !== null && primary.instance.id !== c.node) return null;
    return refuseCase(s, c, 'REFUSED_QUORUM', 'no primary serves that could carry the cluster and give its state');
  },
};
