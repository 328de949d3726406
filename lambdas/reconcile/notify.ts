/** What goes on the incident's record, and what people are told. */
import type { Change, Plan, Refusal, RefusalCode } from '../model/change.ts';
import type { ClusterView } from '../model/view.ts';
import type { ReconcilePorts } from './ports.ts';
import { shortName } from './route.ts';

/** Refusals that last until a person does something, and the runbook's heading for each. */
const NEEDS_A_PERSON: Partial<Record<RefusalCode, string>> = {
  REFUSED_NO_CANDIDATE: 'no-candidate',
  REFUSED_QUORUM_LOST: 'quorum-lost',
  REFUSED_BRAKE: 'fleet-brake',
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
    case 'NoteSuspicion':
      return `suspicion of ${c.node}: ${c.suspicion?.kind ?? 'none'}`;
  }
}

const ids = (targets: readonly { readonly id: string }[]): string => targets.map((t) => t.id).join(', ');

/**
 * Tells people of each refusal that needs one, once per incident: the record says what was told. It is written after the
 * message is out, so that a crash between the two tells twice rather than never.
 */
export async function tellPeople(
  view: ClusterView,
  plan: Plan,
  refusals: readonly Refusal[],
  ports: ReconcilePorts,
): Promise<void> {
  const opened = plan.changes.find((c) => c.kind === 'OpenIncident');
  const incident = view.ledger.incident?.id ?? opened?.incident ?? null;
  const needed = refusals.filter((r) => r.code in NEEDS_A_PERSON);
  if (incident === null || needed.length === 0) return;
  const cluster = view.spec.name;
  const told = (await ports.ledger.incident(cluster, incident)).map((e) => e.what);
  for (const code of new Set(needed.map((r) => r.code))) {
    const what = `told people: ${code}`;
    if (told.includes(what)) continue;
    const why = needed.filter((r) => r.code === code).map((r) => r.reason);
    const runbook = `Runbook: docs/runbook.md#${NEEDS_A_PERSON[code] ?? ''}`;
    await ports.notifications.publish(`${cluster}: ${code}`, [...why, `Incident ${incident}.`, runbook].join('\n'));
    const entry = { atMs: ports.clock.nowMs(), who: 'reconcile', what, why: why.join('; ') };
    await ports.ledger.record(cluster, incident, what, entry);
  }
}
