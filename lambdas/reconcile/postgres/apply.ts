/**
 * Carries out what is kept up on PostgreSQL nodes. The caller has just looked at the epoch: a workflow that took the claim
 * has raised it, and its fence must not be undone from here.
 */
import type { DbTarget, Ledger } from '../../cloud/ports.ts';
import type { Change } from '../../model/change.ts';
import { declaredNeed } from '../../model/quorum.ts';
import { slotOf } from '../../model/postgres.ts';
import type { PostgresEngine } from '../../model/spec.ts';
import type { ClusterView } from '../../model/view.ts';
import type { ReconcilePorts } from '../ports.ts';

export type UpkeepChange = Extract<Change, { readonly kind: 'SetSync' | 'SetSlots' | 'Follow' }>;

export interface UpkeepGuard {
  readonly epoch: number;
  /** The open incident. */
  readonly incident: string | null;
}

/**
 * @throws Conflict when the ledger or the primary's setting is no longer what the plan was made from; NodeUnavailable,
 *   NodeRefused; Error when the node has no address any more.
 */
export async function keepUp(
  change: UpkeepChange,
  view: ClusterView,
  guard: UpkeepGuard,
  ports: ReconcilePorts,
): Promise<void> {
  const { engine } = view.spec;
  if (engine.kind !== 'postgres') {
    throw new Error(`${change.kind} is for PostgreSQL clusters, and ${view.spec.name} is ${engine.kind}`);
  }
  const target = targetOf(change.node, view, engine);
  const credentials = await ports.secrets.credentials(view.spec.credentialsSecretArn);
  switch (change.kind) {
    case 'SetSync':
      if (isDegraded(change, view, engine) && guard.incident === null) {
        throw new Error(`no incident could be opened: fewer acknowledgements than declared are not set without one`);
      }
      // The ledger first: a set that is in force without being known there could not be counted in a fence.
      await ports.ledger.setSync(view.spec.name, change.from, change.to, guardOf(view, guard));
      if (change.setting === null) return;
      return ports.admin.setSync(target, credentials, change.setting.from, change.setting.to);
    case 'SetSlots':
      return ports.admin.setSlots(target, credentials, { create: change.create, drop: change.drop });
    case 'Follow': {
      const upstream = targetOf(change.primary, view, engine);
      const slot = engine.slots === 'physical' ? slotOf(change.node) : null;
      return ports.admin.follow(target, credentials, {
        host: upstream.host,
        port: upstream.port,
        user: engine.replicationUser,
        slot,
      });
    }
  }
}

/** While a workflow brings one replica back, on its authority: then no other can be choosing a primary. */
const guardOf = ({ ledger }: ClusterView, { epoch }: UpkeepGuard): Parameters<Ledger['setSync']>[3] =>
  ledger.claim === null ? { epoch } : { execution: ledger.claim.execution };

const isDegraded = (change: Extract<Change, { kind: 'SetSync' }>, view: ClusterView, engine: PostgresEngine): boolean =>
  engine.durability === 'quorum' &&
  (change.to.sets.at(-1)?.need ?? 0) < declaredNeed(view.spec.nodes, engine.acknowledgements);

function targetOf(id: string, view: ClusterView, engine: PostgresEngine): DbTarget {
  const host = view.nodes.find((n) => n.instance.id === id)?.instance.privateIp;
  if (host === undefined || host === null)
    throw new Error(`${id} has no address: EC2 no longer describes it as running`);
  return { instanceId: id, host, port: engine.port, engine: 'postgres', tls: engine.tls };
}
