/**
 * Carries out what is kept up on PostgreSQL nodes. The caller has just looked at the epoch: a workflow that took the claim
 * has raised it, and its fence must not be undone from here.
 */
import { isDeepStrictEqual } from 'node:util';
import { CloudUnavailable, Conflict } from '../../cloud/ports.ts';
import type { DbTarget, Ledger } from '../../cloud/ports.ts';
import type { Change } from '../../model/change.ts';
import { declaredNeed } from '../../model/quorum.ts';
import { slotOf } from '../../model/postgres.ts';
import type { PostgresEngine } from '../../model/spec.ts';
import type { ClusterView } from '../../model/view.ts';
import type { ReconcilePorts } from '../ports.ts';

/** For how long what the ledger said is good, from when it was asked: many times what DynamoDB takes, and far below a pause. */
const LEDGER_GOOD_FOR_MS = 1000;
const LOOKS = 2;

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
      await known(change, view, guard, ports);
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

/**
 * The ledger knows the set, as of a moment ago. An answer that took longer is of a past in which others may have gone on, and back: the primary may show
 * again what the plan was made from, and the ledger nothing of what would be set.
 * @throws Conflict; CloudUnavailable when the ledger is slow time and again.
 */
async function known(
  change: Extract<Change, { kind: 'SetSync' }>,
  view: ClusterView,
  guard: UpkeepGuard,
  { ledger, clock }: ReconcilePorts,
): Promise<void> {
  const cluster = view.spec.name;
  let askedAtMs = clock.nowMs();
  await ledger.setSync(cluster, change.from, change.to, guardOf(view, guard));
  for (let looks = 0; clock.nowMs() - askedAtMs > LEDGER_GOOD_FOR_MS; looks += 1) {
    if (looks === LOOKS) throw new CloudUnavailable(`the ledger of ${cluster} could not be read in time`);
    askedAtMs = clock.nowMs();
    const { sync } = (await ledger.read(cluster)).cluster;
    if (!isDeepStrictEqual(sync, change.to))
      throw new Conflict(
        `sync of ${cluster} is ${JSON.stringify(sync)} by now, not ${JSON.stringify(change.to)}: observe again`,
      );
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
