/** What goes on the incident's record, and the runbook's headings for what people are told (`tell.ts`). */
import type { Change, RefusalCode } from '../model/change.ts';
import type { DiagnosisCode } from '../model/diagnosis.ts';
import type { ClusterView } from '../model/view.ts';
import type { ReconcilePorts } from './ports.ts';
import { shortName } from './route.ts';

/** Refusals that last until a person does something, and the runbook's heading for each. */
export const REFUSALS_TOLD: Partial<Record<RefusalCode, string>> = {
  REFUSED_NO_CANDIDATE: 'no-candidate',
  REFUSED_QUORUM_LOST: 'quorum-lost',
  REFUSED_BRAKE: 'fleet-brake',
  REFUSED_LEFT_OVER: 'refused_left_over',
};

/** Conditions of a PostgreSQL cluster that a person has to know of, whatever is done about them. */
export const CONDITIONS_TOLD: Partial<Record<DiagnosisCode, string>> = {
  DURABILITY_DEGRADED: 'durability-degraded',
  DISK_NEARLY_FULL: 'disk-nearly-full',
  NODE_FOREIGN_DATA: 'foreign-data',
  NODE_OTHER_PRIMARY: 'two-primaries',
  PRIMARY_PARTITIONED: 'primary-not-reachable',
  NODE_UNREACHABLE_BY_PLANE: 'primary-not-reachable',
};

/** Puts a change on the incident's record (safety rule 12). The same change at the same epoch lands once. */
export async function note(view: ClusterView, incident: string, change: Change, ports: ReconcilePorts): Promise<void> {
  const what = sentenceOf(change);
  const entry = { atMs: ports.clock.nowMs(), who: 'reconcile', what, why: change.reason };
  await ports.ledger.record(view.spec.name, incident, `e${view.ledger.epoch} ${what}`, entry);
}

function sentenceOf(c: Change): string {
  switch (c.kind) {
    case 'SetWriter':
      return `writer ${c.from ?? 'nobody'} → ${c.to}`;
    case 'Deregister':
      return `deregister ${ids(c.targets)} from ${shortName(c.groupArn)}, drain ${c.drainSeconds} s`;
    case 'Register':
      return `register ${ids(c.targets)} with ${shortName(c.groupArn)}`;
    case 'UpsertRecord':
      return `record ${c.name} → ${c.value}`;
    case 'SettleDrain':
      return `drain delay of ${shortName(c.groupArn)} back to 0`;
    case 'OpenIncident':
      return `opened: ${c.diagnosis}`;
    case 'CloseIncident':
      return 'closed';
    case 'ReleaseClaim':
      return `release the claim of ${c.execution}`;
    case 'StartRecovery':
      return `start ${c.executionName}`;
    case 'SetSync':
      return `synchronous standbys of ${c.node}: ${c.setting === null ? 'as they are' : `${setting(c.setting.from)} → ${setting(c.setting.to)}`}, ${c.to.sets.length} in force${c.to.barrierLsn === null ? '' : `, since ${c.to.barrierLsn}`}`;
    case 'SetSlots':
      return `slots on ${c.node}: ${[...c.create.map((x) => `+${x}`), ...c.drop.map((x) => `-${x}`)].join(' ')}`;
    case 'Follow':
      return `${c.node} follows ${c.primary}`;
    case 'Forget':
      return `forgets the ${c.what === 'fence' ? 'fence' : 'telling'} of ${c.node}`;
    case 'NoteSuspicion':
      return `suspicion of ${c.node}: ${c.suspicion?.kind ?? 'none'}`;
  }
}

const setting = (text: string): string => (text === '' ? 'nobody' : text);

const ids = (targets: readonly { readonly id: string }[]): string => targets.map((t) => t.id).join(', ');
