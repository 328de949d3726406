/** What people are told while an incident is open: once each, with the reason and the runbook's heading. */
import type { Plan, Refusal } from '../model/change.ts';
import type { Diagnosis } from '../model/diagnosis.ts';
import type { ClusterView } from '../model/view.ts';
import { CONDITIONS_TOLD, REFUSALS_TOLD } from './notify.ts';
import type { ReconcilePorts } from './ports.ts';

interface Message {
  /** Names it on the record, so that it is told once. */
  readonly key: string;
  readonly subject: string;
  readonly why: readonly string[];
  readonly heading: string;
  /** The instance that it tells to be left over. */
  readonly leftOver?: string;
}

/**
 * Tells people of each refusal and each condition that needs one, once per incident: the record says what was told. It is
 * written after the message is out, so that a crash between the two tells twice rather than never.
 */
export async function tellPeople(
  view: ClusterView,
  diagnoses: readonly Diagnosis[],
  plan: Plan,
  refusals: readonly Refusal[],
  ports: ReconcilePorts,
): Promise<void> {
  const opened = plan.changes.find((c) => c.kind === 'OpenIncident');
  const incident = view.ledger.incident?.id ?? opened?.incident ?? null;
  const messages = [...refused(view, refusals), ...found(view, diagnoses)];
  if (incident === null || messages.length === 0) return;
  const cluster = view.spec.name;
  const told = (await ports.ledger.incident(cluster, incident)).map((e) => e.what);
  // From then on the incident may close.
  const note = async (leftOver: string | undefined): Promise<void> => {
    if (leftOver !== undefined) await ports.ledger.setLeftOver(cluster, leftOver, ports.clock.nowMs());
  };
  for (const { key, subject, why, heading, leftOver } of messages) {
    const what = `told people: ${key}`;
    if (told.includes(what)) {
      // Perhaps by a look that was killed before it could note that.
      await note(leftOver);
      continue;
    }
    const runbook = `Runbook: docs/runbook.md#${heading}`;
    await ports.notifications.publish(`${cluster}: ${subject}`, [...why, `Incident ${incident}.`, runbook].join('\n'));
    const entry = { atMs: ports.clock.nowMs(), who: 'reconcile', what, why: why.join('; ') };
    await ports.ledger.record(cluster, incident, what, entry);
    await note(leftOver);
  }
}

function refused(view: ClusterView, refusals: readonly Refusal[]): Message[] {
  const headed = refusals
    .filter((r) => r.code !== 'REFUSED_LEFT_OVER')
    .flatMap((r) => {
      const heading = headingOf(view, r);
      return heading === null ? [] : [{ code: r.code, reason: r.reason, heading }];
    });
  const together = [...new Set(headed.map((h) => h.code))].map((code) => {
    const of = headed.filter((h) => h.code === code);
    return { key: code, subject: code, why: of.map((h) => h.reason), heading: of[0]?.heading ?? '' };
  });
  return [...together, ...refusals.flatMap((r) => leftOverMessage(view, r))];
}

/** Each of them: the next one may be left over in the same incident, or long after it. */
function leftOverMessage({ ledger }: ClusterView, { code, node, reason }: Refusal): Message[] {
  const heading = REFUSALS_TOLD[code];
  if (code !== 'REFUSED_LEFT_OVER' || node === undefined || heading === undefined) return [];
  if (ledger.leftOver[node] !== undefined) return [];
  return [{ key: `${code} ${node}`, subject: code, why: [reason], heading, leftOver: node }];
}

/** A person who has one node in hand may not know that the primary is gone, and that nobody takes its place meanwhile. */
function headingOf(view: ClusterView, r: Refusal): string | null {
  const { engine } = view.spec;
  const failover = r.code === 'REFUSED_MAINTENANCE' && engine.kind === 'postgres' && r.node === view.ledger.writer;
  return failover ? 'failover-in-maintenance' : (REFUSALS_TOLD[r.code] ?? null);
}

function found(view: ClusterView, diagnoses: readonly Diagnosis[]): Message[] {
  if (view.spec.engine.kind !== 'postgres') return [];
  return diagnoses.flatMap((d) => {
    const heading = CONDITIONS_TOLD[d.code];
    if (heading === undefined || isPassing(view, d)) return [];
    const key = d.node === undefined ? d.code : `${d.code} ${d.node}`;
    return [{ key, subject: key, why: d.evidence, heading }];
  });
}

/** A primary that we cannot see may be back in a moment: nobody is woken before it has lasted. A replica's is not told. */
function isPassing(view: ClusterView, d: Diagnosis): boolean {
  if (d.code !== 'PRIMARY_PARTITIONED' && d.code !== 'NODE_UNREACHABLE_BY_PLANE') return false;
  if (d.node === undefined || d.node !== view.ledger.writer) return true;
  const sinceMs = view.ledger.suspicions[d.node]?.sinceMs ?? view.atMs;
  return view.atMs - sinceMs < view.spec.timing.deadAfterSeconds * 1000;
}
