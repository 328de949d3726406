/**
 * A PostgreSQL cluster as a whole, and what is told of its nodes beside their role. Pure.
 *
 * | What is seen                                                                      | diagnosis           |
 * | --------------------------------------------------------------------------------- | ------------------- |
 * | nobody answers, and each node is ended, stopped, crashed or hung                  | CLUSTER_DOWN        |
 * | the primary is lost, and the failover found nobody to promote                     | NO_CANDIDATE        |
 * | commits wait for fewer acknowledgements than declared, or have to                 | DURABILITY_DEGRADED |
 * | less than a tenth of a data disk is free, or less than 2 GiB if that is less      | DISK_NEARLY_FULL    |
 */
import type { Diagnosis } from '../../model/diagnosis.ts';
import { isNearlyFull } from '../../model/postgres.ts';
import type { RecoveryErrorName } from '../../model/recovery.ts';
import { isLost } from '../situation.ts';
import type { Situation } from '../situation.ts';
import { primaryOf } from './primary.ts';
import { hasAnswered, servingPrimary } from './status.ts';
import { degradation, keepsSync } from './sync.ts';

export const clusterDiagnoses = (s: Situation): readonly Diagnosis[] => [
  ...down(s),
  ...noCandidate(s),
  ...durability(s),
  ...disks(s),
];

function down(s: Situation): Diagnosis[] {
  const { nodes } = s.view;
  if (nodes.length === 0 || !nodes.every((n) => !hasAnswered(n) && isLost(s, n.instance.id))) return [];
  const each = nodes.map((n) => `${n.instance.id}: ${s.codeOf(n.instance.id) ?? 'unknown'}`);
  return [{ code: 'CLUSTER_DOWN', evidence: ['no node runs the database', ...each] }];
}

const NO_CANDIDATE: RecoveryErrorName = 'NoCandidate';

function noCandidate(s: Situation): Diagnosis[] {
  const { escalation } = s.view.ledger;
  const gaveUp = escalation?.reason.startsWith(NO_CANDIDATE) === true;
  if (!gaveUp || primaryOf(s).kind !== 'lost') return [];
  return [{ code: 'NO_CANDIDATE', evidence: [`the failover found nobody to promote: ${escalation.reason}`] }];
}

function durability(s: Situation): Diagnosis[] {
  const primary = servingPrimary(s.view);
  const why = primary === null || !keepsSync(s) ? null : degradation(s, primary);
  return why === null ? [] : [{ code: 'DURABILITY_DEGRADED', evidence: [why] }];
}

function disks(s: Situation): Diagnosis[] {
  return s.view.nodes.filter(hasAnswered).flatMap(({ instance, probe: { status } }): Diagnosis[] => {
    const { disk } = status;
    if (disk === null || !isNearlyFull(disk)) return [];
    const evidence = `${mib(disk.availableBytes)} of ${mib(disk.totalBytes)} MiB are free for the data of ${instance.id}`;
    return [{ code: 'DISK_NEARLY_FULL', node: instance.id, evidence: [evidence] }];
  });
}

const mib = (bytes: number): string => Math.round(bytes / 2 ** 20).toString();
