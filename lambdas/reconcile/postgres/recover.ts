/** Which recovery a PostgreSQL cluster needs, and what people are to know. Pure. */
import type { Refusal } from '../../model/change.ts';
import type { Diagnosis, DiagnosisCode } from '../../model/diagnosis.ts';
import type { Recovery } from '../engine.ts';
import { isGone } from '../nodes.ts';
import { leftOver } from '../left-over.ts';
import { NOTHING, decide, merge, surplus, waitForClaim } from '../recover.ts';
import type { Situation } from '../situation.ts';
import { failoverCase, postgresObjections, replicaCases } from './cases.ts';
import { failingSinceMs } from './diagnose-node.ts';
import { primaryOf } from './primary.ts';
import type { Primary } from './primary.ts';

export function recover(s: Situation, nowMs: number): Recovery {
  const decided = ofPrimary(s, nowMs);
  return merge(decided, toBeTold(s), surplus(s), leftOver(s, decided), waitForClaim(s));
}

function ofPrimary(s: Situation, nowMs: number): Recovery {
  const primary = primaryOf(s);
  switch (primary.kind) {
    case 'serves':
      return merge(decide(s, replicaCases(s), nowMs, postgresObjections), lookAgain(s));
    case 'lost':
      return failover(s, primary, nowMs);
    case 'unclear':
      return waitAndTell(s, primary, nowMs);
    case 'claimed':
    case 'unset':
      return NOTHING;
  }
}

/** What may pass by itself in a moment, and what nobody would ask about. */
const lookAgain = (s: Situation): Recovery => ({
  ...NOTHING,
  waits: [
    ...(s.has('NODE_NOT_STREAMING') ? [{ seconds: 5, reason: 'a stream that was lost may be back' }] : []),
    ...(s.has('NODE_LAGGING') ? [{ seconds: 10, reason: 'a replica catches up' }] : []),
  ],
});

function failover(s: Situation, primary: Extract<Primary, { kind: 'lost' }>, nowMs: number): Recovery {
  const c = failoverCase(primary);
  if (!allSwitchedOff(s)) return decide(s, [c], nowMs, postgresObjections);
  const reason = `every host of the cluster is stopped, and nobody can take the writes: start the instances (${primary.why})`;
  const refusal: Refusal = { code: 'REFUSED_NO_CANDIDATE', node: primary.writer, reason };
  const wait = { seconds: 30, reason: 'the hosts may be started again' };
  const subject = { node: c.node, diagnosis: c.diagnosis, reason };
  return { changes: [], refusals: [refusal], waits: [wait], subject };
}

/** Nothing runs, and something could be started: that is a person's doing, and theirs to undo. */
function allSwitchedOff(s: Situation): boolean {
  const hosts = s.view.nodes.filter((n) => !isGone(n));
  return hosts.length > 0 && hosts.every((n) => n.instance.state === 'stopped' || n.instance.state === 'stopping');
}

/** The witnesses disagree, or there are none: nothing is done. Worth an incident once a single failed probe is excluded. */
function waitAndTell(s: Situation, primary: Extract<Primary, { kind: 'unclear' }>, nowMs: number): Recovery {
  const { writer, code } = primary;
  if (code !== 'PRIMARY_PARTITIONED' && code !== 'NODE_UNREACHABLE_BY_PLANE') return NOTHING;
  const why = s.evidenceOf(writer).join('; ');
  const refusal: Refusal = {
    code: 'REFUSED_TOO_EARLY',
    node: writer,
    reason: `failover of ${writer} not started: ${why}`,
  };
  const sinceMs = failingSinceMs(s.view, writer) ?? nowMs;
  const young = nowMs - sinceMs < s.view.spec.timing.deadAfterSeconds * 1000;
  const wait = { seconds: young ? 1 : 5, reason: 'the replicas are asked again whether they hear from the primary' };
  return { changes: [], refusals: [refusal], waits: [wait], subject: { node: writer, diagnosis: code, reason: why } };
}

const TOLD: readonly DiagnosisCode[] = ['DURABILITY_DEGRADED', 'NODE_FOREIGN_DATA', 'DISK_NEARLY_FULL'];

/** Conditions that Rejoin does nothing about, or not alone: an incident tells of them until they have passed. */
function toBeTold(s: Situation): Recovery {
  const first = TOLD.flatMap((code) => s.all(code))[0];
  return first === undefined ? NOTHING : { ...NOTHING, subject: subjectOf(first) };
}

const subjectOf = (d: Diagnosis): Recovery['subject'] => ({
  node: d.node ?? null,
  diagnosis: d.code,
  reason: d.evidence.join('; '),
});
