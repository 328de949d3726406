/** PostgreSQL: a node serves as the ledger's writer, or as a replica that streams from it and is not far behind. */
import { lagBytes } from '../model/lsn.ts';
import type { PostgresStatus } from '../model/postgres.ts';
import { slotOf } from '../model/postgres.ts';
import type { ClusterSpec, PostgresEngine } from '../model/spec.ts';
import type { Node } from '../model/view.ts';
import { choosePostgresDonor } from './choose-donor.ts';
import type { JoinFailure, RecoveryEngine, Reference } from './engine.ts';
import { databaseOf, describe, probeAll } from './nodes.ts';
import { postgresStatusOf } from './status.ts';
import type { StepContext } from './step.ts';

/** The ledger's writer, when it answers as a primary now. */
export function primaryOf({ primary }: Reference): { readonly node: Node; readonly status: PostgresStatus } | null {
  const status = primary === null ? null : postgresStatusOf(primary);
  if (primary?.instance.state !== 'running' || status === null || status.inRecovery) return null;
  return { node: primary, status };
}

/** Does the node stream from the ledger's writer, by its own word. */
export function streams(node: Node, reference: Reference): boolean {
  const status = postgresStatusOf(node);
  const primary = primaryOf(reference);
  if (node.instance.state !== 'running' || status?.inRecovery !== true || primary === null) return false;
  if (status.receiver?.status !== 'streaming') return false;
  return (status.receiver.senderHost ?? status.followsHost) === primary.node.instance.privateIp;
}

const isPrimary = (node: Node, reference: Reference): boolean =>
  node.instance.id === reference.writer && primaryOf(reference) !== null;

/** On the primary's timeline, and at most that far behind it. */
function isNear(node: Node, reference: Reference, maxLagBytes: number): boolean {
  const [status, primary] = [postgresStatusOf(node), primaryOf(reference)];
  if (status === null || primary === null) return false;
  // A WAL receiver says "streaming" for a moment before its primary refuses it another history.
  return status.timeline === primary.status.timeline && lagBytes(primary.status.lsn, status.lsn) <= maxLagBytes;
}

/** Exit codes of nodes/postgres/join.sh. */
const JOIN_FAILURES: Readonly<Record<number, JoinFailure>> = {
  14: 'again', // another script is at work there
  32: 'again', // it runs, and does not stream yet
  34: 'again', // cut off by the plane meanwhile: whoever still holds the claim may try again
  50: 'useless', // it cannot be rewound
  51: 'foreign',
  52: 'again', // the primary, or the donor, did not answer it
};

const WHOLE = 'a replica that streams and has caught up';

function progress(node: Node, reference: Reference, maxLagBytes: number): string | null {
  const status = postgresStatusOf(node);
  if (status === null) return null;
  if (!status.inRecovery) return `a primary on timeline ${status.timeline}`;
  if (!streams(node, reference)) return 'a standby without a stream from the primary';
  return isNear(node, reference, maxLagBytes) ? WHOLE : 'a replica that streams and is behind';
}

async function referenceOf(context: StepContext, spec: ClusterSpec, nodes: readonly Node[]): Promise<Reference> {
  const { writer } = (await context.ports.ledger.read(spec.name)).cluster;
  if (writer === null) return { writer, primary: null };
  const known = nodes.find((n) => n.instance.id === writer);
  if (known !== undefined) return { writer, primary: known };
  const instance = await describe(context, writer);
  const [primary] = await probeAll(context, spec, instance === null ? [] : [instance]);
  return { writer, primary: primary ?? null };
}

/** The primary keeps its log from its last checkpoint on for the joiner, even while that has not come. */
async function makeSlot({ ports }: StepContext, spec: ClusterSpec, joiner: string, primary: Node): Promise<void> {
  const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
  const slots = { create: [slotOf(joiner)], drop: [] };
  await ports.admin.setSlots(databaseOf(spec, primary.instance), credentials, slots);
}

/** The workflows' view of a cluster with this engine. */
export function postgresRecovery({ maxLagBytes, port, replicationUser, slots }: PostgresEngine): RecoveryEngine {
  const serves = (node: Node, reference: Reference): boolean =>
    isPrimary(node, reference) || (streams(node, reference) && isNear(node, reference, maxLagBytes));
  return {
    kind: 'postgres',
    reference: referenceOf,
    isServing: serves,
    isMember: (node, reference) => isPrimary(node, reference) || streams(node, reference),
    hasCaughtUp: serves,
    expected: `a replica that streams from the primary and lags by at most ${maxLagBytes} bytes`,
    progress: (node, reference) => progress(node, reference, maxLagBytes),
    isWhole: (words) => words === WHOLE,
    chooseDonor: (others, reference, _, joinerZone) =>
      primaryOf(reference) === null
        ? null
        : choosePostgresDonor(
            others.filter((n) => serves(n, reference)),
            reference.writer,
            joinerZone,
          ),
    noDonor: 'there is no primary that answers, and failover comes first',
    async beforeJoin(context, spec, joiner, { reference }) {
      const primary = primaryOf(reference);
      // Before the base backup begins: the WAL from its end on is kept for the joiner, however long the copying takes.
      if (slots !== 'none' && primary !== null) await makeSlot(context, spec, joiner, primary.node);
    },
    async keepLog(context, spec, joiner) {
      const first = primaryOf(await referenceOf(context, spec, []));
      if (first === null) return null;
      if (slots !== 'none') await makeSlot(context, spec, joiner, first.node);
      const primary = primaryOf(await referenceOf(context, spec, []));
      if (primary === null) return null;
      const { systemId, timeline, slots: there } = primary.status;
      const slot = there.find(({ name }) => name === slotOf(joiner));
      if (slots !== 'none' && slot?.restartLsn == null) return null;
      return { history: systemId, timeline, from: slot?.restartLsn ?? null };
    },
    joinParameters: ({ reference, donor }) => ({
      Primary: reference.primary?.instance.privateIp ?? 'none',
      PrimaryPort: String(port),
      Donor: donor.node.instance.privateIp ?? 'none',
      ReplicationUser: replicationUser,
    }),
    joinFailure: (exitCode) => JOIN_FAILURES[exitCode] ?? 'failed',
    standstillMeans: 'SeedFailed',
    standstill(node, reference, before) {
      const status = postgresStatusOf(node);
      if (status?.inRecovery !== true || primaryOf(reference) === null) return null;
      if (status.receiver?.status === 'streaming') return null;
      // It may yet replay what it has on disk: only one that stands where it stood does not get on.
      const at = `${status.timeline}/${status.lsn}/${status.replayLsn ?? ''}`;
      return before?.at === at ? before : { sinceMs: node.probe.atMs, at };
    },
  };
}
