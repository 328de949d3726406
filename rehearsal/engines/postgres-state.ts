/** Whether a PostgreSQL cluster is as declared, from what its nodes say. Pure. */
import { lagBytes } from '../../lambdas/model/lsn.ts';
import type { ClusterLedger } from '../../lambdas/model/ledger.ts';
import { ARCHIVE_SLOT, slotOf, type PostgresStatus } from '../../lambdas/model/postgres.ts';
import { declaredNeed, parseSynchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import type { ProbedNode } from './engine.ts';

export interface Declared {
  readonly durability: 'quorum' | 'async';
  readonly maxLagBytes: number;
  readonly nodes: number;
}

/** A replica that is further behind takes no part in "everything is as it was". */
const BEHIND_BYTES = 1024 * 1024;

export const statusOf = (probe: Probe): PostgresStatus | null =>
  probe.kind === 'answered' && probe.status.engine === 'postgres' ? probe.status : null;

/** The ledger's writer, as a primary; or a replica that streams from it and keeps up. */
export function postgresServes(node: ProbedNode, all: readonly ProbedNode[], ledger: ClusterLedger): boolean {
  const status = statusOf(node.probe);
  const writer = all.find((n) => n.id === ledger.writer);
  const primary = writer === undefined ? null : statusOf(writer.probe);
  if (status === null || writer === undefined || primary === null || primary.inRecovery) return false;
  if (node.id === writer.id) return true;
  return (
    status.inRecovery &&
    status.receiver?.status === 'streaming' &&
    (status.receiver.senderHost ?? status.followsHost) === writer.address &&
    status.timeline === primary.timeline &&
    lagBytes(primary.lsn, status.lsn) <= BEHIND_BYTES
  );
}

/** Everything that is not as declared: who is the primary, whose acknowledgements are waited for, slots, history. */
export function postgresProblems(
  nodes: readonly ProbedNode[],
  ledger: ClusterLedger,
  declared: Declared,
): readonly string[] {
  const told = nodes.flatMap((n) => {
    const status = statusOf(n.probe);
    return status === null ? [] : [{ id: n.id, status }];
  });
  const primaries = told.filter((n) => !n.status.inRecovery);
  const [primary] = primaries;
  if (primary === undefined) return ['no node is a primary'];
  if (primaries.length > 1)
    return [`${primaries.length} nodes are primaries: ${primaries.map((n) => n.id).join(', ')}`];
  const replicas = told.filter((n) => n.id !== primary.id);
  const systems = new Set(told.map((n) => n.status.systemId));
  return [
    ...(primary.id === ledger.writer
      ? []
      : [`the primary is ${primary.id}, the ledger says ${ledger.writer ?? 'nobody'}`]),
    ...(systems.size === 1 ? [] : [`the nodes are of ${systems.size} clusters: ${[...systems].join(', ')}`]),
    ...quorumProblems(
      primary.status,
      replicas.map((n) => n.id),
      ledger,
      declared,
    ),
    ...slotProblems(
      primary.status,
      replicas.map((n) => n.id),
    ),
  ];
}

function quorumProblems(
  primary: PostgresStatus,
  replicas: readonly string[],
  ledger: ClusterLedger,
  declared: Declared,
): string[] {
  const names = primary.synchronousStandbyNames;
  if (declared.durability === 'async') {
    return names === '' ? [] : [`synchronous_standby_names is ${JSON.stringify(names)}, expected none`];
  }
  const set = parseSynchronousStandbyNames(names);
  const need = declaredNeed(declared.nodes);
  const wanted = `ANY ${need} of ${[...replicas].sort().join(', ')}`;
  const right = set !== null && set.need === need && [...set.standbys].sort().join() === [...replicas].sort().join();
  const sets = ledger.sync?.sets.length ?? 0;
  return [
    ...(right ? [] : [`synchronous_standby_names is ${JSON.stringify(names)}, expected ${wanted}`]),
    ...(sets === 1 ? [] : [`the ledger holds ${sets} sets of standbys, expected 1`]),
  ];
}

function slotProblems(primary: PostgresStatus, replicas: readonly string[]): string[] {
  const wanted = replicas.map(slotOf).sort().join(', ');
  // The archive's is not a replica's; a shipper that hands over lets go of it for a moment.
  const ofReplicas = primary.slots.filter((s) => s.name !== ARCHIVE_SLOT);
  const there = ofReplicas
    .map((s) => s.name)
    .sort()
    .join(', ');
  const idle = ofReplicas.filter((s) => !s.active || s.walStatus === 'lost').map((s) => s.name);
  return [
    ...(there === wanted ? [] : [`the slots are ${there || 'none'}, expected ${wanted}`]),
    ...(idle.length === 0 ? [] : [`unused or lost slots: ${idle.join(', ')}`]),
  ];
}

/** A node's database in a word or three. */
export function inWords(probe: Probe): string {
  const status = statusOf(probe);
  if (status === null) return probe.kind === 'skipped' ? 'skipped' : `${probe.kind}`;
  const place = `timeline ${status.timeline} at ${status.lsn}`;
  if (!status.inRecovery) return `primary, ${place}, waits for ${status.synchronousStandbyNames || 'nobody'}`;
  const upstream =
    status.receiver === null
      ? `no stream (told to follow ${status.followsHost ?? 'nobody'})`
      : `${status.receiver.status} from ${status.receiver.senderHost ?? status.followsHost ?? '?'}`;
  return `replica, ${place}, ${upstream}`;
}
