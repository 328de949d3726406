/**
 * Makes a primary of a standby that was chosen, in an order in which there is no moment when it could acknowledge less than
 * declared, or when it could be the primary and the ledger did not know (safety rules 3 and 5):
 *
 *   1. the ledger: the quorum that it will wait for          whoever fences it later knows whom to cut off
 *   2. its slots, its synchronous_standby_names              it waits from its first commit on
 *   3. the other standbys follow it                          they go over to its timeline with it
 *      the ledger: the timeline's number                     nobody begins one of that number again
 *   4. the ledger: the writer (epoch + 1)                    from here on it is the one to be fenced, whatever becomes of us
 *   5. pg_promote, and reconcile is asked to route
 */
import { NodeRefused, NodeUnavailable } from '../cloud/ports.ts';
import type { DbCredentials, DbTarget } from '../cloud/ports.ts';
import { slotOf } from '../model/postgres.ts';
import type { QuorumSet } from '../model/quorum.ts';
import { synchronousStandbyNames } from '../model/quorum.ts';
import { RecoveryError } from '../model/recovery.ts';
import type { ClusterSpec } from '../model/spec.ts';
import { dataVolumeOf } from '../model/view.ts';
import type { Instance } from '../model/view.ts';
import { mayDestroy } from '../recovery/guard.ts';
import { databaseOf } from '../recovery/nodes.ts';
import { askForReconcile } from '../recovery/route.ts';
import { postgresStatusOf } from '../recovery/status.ts';
import { record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';
import { whileHeld } from './held.ts';
import { degraded, followersOf, quorumOf, withSet } from './new-quorum.ts';
import { passOverUsed } from './new-timeline.ts';
import { onCandidate } from './on-candidate.ts';
import type { Told } from './state.ts';
import { postgresOf } from './steps/claim.ts';

/** How long a standby that does not answer may hold the promotion up. */
const FOLLOW_MS = 300;

export interface Promotion {
  readonly spec: ClusterSpec;
  readonly instances: readonly Instance[];
  readonly candidate: string;
  /** Positions of detached standbys, the candidate among them. */
  readonly told: Readonly<Record<string, Told>>;
  /** For the record. */
  readonly why: string;
}

/** Repeatable: what has been done is found done. @throws RecoveryError PromotionFailed, ClaimLost, BrakeEngaged. */
export async function makePrimary(context: StepContext, promotion: Promotion): Promise<void> {
  const { ports } = context;
  const { spec, candidate, why } = promotion;
  const instance = instanceOf(promotion, candidate);
  const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
  const target = databaseOf(spec, instance);
  const timeline = await stillAsTold(context, promotion, target, credentials);
  const followers = followersOf(candidate, promotion.told);
  await prepare(context, promotion, { target, credentials, followers, set: quorumOf(spec, followers) });
  if (timeline !== null) await passOverUsed(context, { target, credentials, timeline });
  await record(context, `promote-${candidate}`, `promotes ${candidate}`, why);
  const volume = dataVolumeOf(instance, spec.dataDevice);
  await whileHeld(
    context,
    async ({ epoch, writer }) => {
      if (writer !== candidate) await ports.ledger.setWriter(spec.name, epoch, candidate, volume);
    },
    () => mayDestroy(context, `promote ${candidate}`),
  );
  await onCandidate(context, candidate, () => ports.admin.promote(target, credentials));
  // Reconcile begins to look while the writes are verified: it routes to the ledger's writer once that is a primary.
  await askForReconcile(context, `promoted-${candidate}`);
}

function instanceOf({ instances, spec }: Promotion, id: string): Instance {
  const found = instances.find((i) => i.id === id);
  if (found?.state === 'running' && found.privateIp !== null) return found;
  throw new RecoveryError(
    'PromotionFailed',
    `EC2 says of the candidate ${id}: ${found?.state ?? 'that it does not exist'}; expected a running instance of ${spec.name}`,
  );
}

/**
 * Between the choice and now somebody may have pointed it at an upstream again, or promoted or lost it. Answers the timeline that it is
 * on; null: it is a primary already.
 */
async function stillAsTold(
  context: StepContext,
  { spec, instances, candidate, told }: Promotion,
  target: DbTarget,
  credentials: DbCredentials,
): Promise<number | null> {
  return onCandidate(context, candidate, async () => {
    const instance = instanceOf({ spec, instances, candidate, told, why: '' }, candidate);
    const status = postgresStatusOf({ instance, probe: await context.ports.prober.probe(target, credentials) });
    if (status === null) throw new NodeUnavailable(`${candidate} does not answer a probe`);
    const { timeline, lsn } = told[candidate] ?? status;
    if (!status.inRecovery) return null;
    if (status.receiver === null && status.followsHost === null && status.timeline === timeline && status.lsn === lsn)
      return timeline;
    const found = `it follows ${status.followsHost ?? 'nobody'}, timeline ${status.timeline} at ${status.lsn}`;
    throw new NodeRefused(
      `${candidate} is not as it was chosen: ${found}; expected a detached standby on ${timeline} at ${lsn}`,
    );
  });
}

interface Prepared {
  readonly target: DbTarget;
  readonly credentials: DbCredentials;
  readonly followers: readonly string[];
  readonly set: QuorumSet;
}

async function prepare(context: StepContext, promotion: Promotion, prepared: Prepared): Promise<void> {
  const { ports, cluster, execution } = context;
  const { spec, candidate, instances } = promotion;
  const { target, credentials, followers, set } = prepared;
  const less = degraded(spec, set);
  // On the record before the setting is looser than declared.
  if (less !== null)
    await record(context, `degraded-${candidate}`, less, `${followers.length} standbys can follow ${candidate}`);
  await whileHeld(context, async ({ sync }) => {
    const next = withSet(sync, set);
    if (next !== sync) await ports.ledger.setSync(cluster, sync, next, { execution });
  });
  const others = instances.filter((i) => i.state === 'running' && i.id !== candidate).map((i) => slotOf(i.id));
  await onCandidate(context, candidate, () =>
    Promise.all([
      postgresOf(spec).slots === 'physical' && others.length > 0
        ? ports.admin.setSlots(target, credentials, { create: others, drop: [] })
        : null,
      ports.admin.setSync(target, credentials, null, synchronousStandbyNames(set)),
    ]),
  );
  const follows = Promise.all(followers.map((id) => follow(context, spec, { instances, id, primary: target })));
  await Promise.race([follows, ports.clock.sleep(FOLLOW_MS)]);
}

/** Points one standby at its primary. One that does not answer is left: Verify and reconcile see to it. */
export async function follow(
  { ports }: StepContext,
  spec: ClusterSpec,
  {
    instances,
    id,
    primary,
  }: { readonly instances: readonly Instance[]; readonly id: string; readonly primary: DbTarget },
): Promise<boolean> {
  const { slots, replicationUser: user } = postgresOf(spec);
  const instance = instances.find((i) => i.id === id);
  if (instance?.state !== 'running' || instance.privateIp === null) return false;
  const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
  const slot = slots === 'physical' ? slotOf(id) : null;
  try {
    await ports.admin.follow(databaseOf(spec, instance), credentials, {
      host: primary.host,
      port: primary.port,
      user,
      slot,
    });
    return true;
  } catch (error) {
    if (!(error instanceof NodeUnavailable) && !(error instanceof NodeRefused)) throw error;
    ports.log.warn(`${id} could not be pointed at ${primary.instanceId}`, { why: error.message });
    return false;
  }
}
