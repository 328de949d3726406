/** Proves that the new primary accepts writes, and that its quorum acknowledges them. */
import { NodeRefused, NodeUnavailable } from '../cloud/ports.ts';
import type { DbCredentials, DbTarget } from '../cloud/ports.ts';
import type { Lsn, Position } from '../model/lsn.ts';
import { compareLsn } from '../model/lsn.ts';
import type { PostgresStatus } from '../model/postgres.ts';
import { synchronousStandbyNames } from '../model/quorum.ts';
import { RecoveryError } from '../model/recovery.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';
import { databaseOf, inWords } from '../recovery/nodes.ts';
import { askForReconcile } from '../recovery/route.ts';
import { postgresStatusOf } from '../recovery/status.ts';
import { record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';
import { whileHeld } from './held.ts';
import { degraded, quorumOf, withSet } from './new-quorum.ts';

/** Within one invocation; after that the quorum is made of those that stream. */
const INVOCATION_MS = 5000;
const BETWEEN_TRIES_MS = 50;
/** For how long it may accept nothing before another one is looked for. */
const DEADLINE_MS = 60_000;
/** In a row: one failed probe proves nothing. */
const PROBES_MISSED = 2;

interface Primary {
  readonly spec: ClusterSpec;
  readonly instance: Instance;
  readonly target: DbTarget;
  readonly credentials: DbCredentials;
}

/**
 * True when a transaction was acknowledged; then its position is on the ledger and reconcile has been asked to route. False: ask again.
 * @throws RecoveryError PromotionFailed when it does not answer as a primary, ClaimLost.
 */
export async function verifyPrimary(context: StepContext, spec: ClusterSpec, node: string): Promise<boolean> {
  const { ports, cluster } = context;
  const [instance] = await ports.instances.byIds([node]);
  if (instance?.state !== 'running') {
    throw new RecoveryError(
      'PromotionFailed',
      `EC2 says of ${node}: ${instance?.state ?? 'that it does not exist'}; expected running`,
    );
  }
  const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
  const primary: Primary = { spec, instance, target: databaseOf(spec, instance), credentials };
  const tried = await tryFor(context, primary);
  if ('waitsAt' in tried) {
    if (context.waitedMs > DEADLINE_MS) {
      throw new RecoveryError(
        'PromotionFailed',
        `${node} acknowledged nothing for ${DEADLINE_MS / 1000} s; expected one transaction`,
      );
    }
    await loosen(context, primary, tried.waitsAt);
    return false;
  }
  const { at } = tried;
  const words = `a transaction was acknowledged on timeline ${at.timeline} at ${at.lsn}`;
  await Promise.all([
    askForReconcile(context, `writer-${node}`),
    ports.ledger.notePosition(cluster, { node, ...at, atMs: ports.clock.nowMs() }),
    record(context, `verified-${node}`, `${node} accepts writes`, words),
  ]);
  return true;
}

/** Where a transaction was acknowledged; else where the primary was when it first waited in vain. */
async function tryFor(
  context: StepContext,
  { instance, target, credentials }: Primary,
): Promise<{ readonly at: Position } | { readonly waitsAt: Lsn | null }> {
  const { admin, clock, prober } = context.ports;
  const untilMs = clock.nowMs() + INVOCATION_MS;
  let missed = 0;
  let waitsAt: Lsn | null = null;
  do {
    try {
      return { at: await admin.verifyWritable(target, credentials) };
    } catch (error) {
      if (!(error instanceof NodeUnavailable) && !(error instanceof NodeRefused)) throw error;
      const found = { instance, probe: await prober.probe(target, credentials) };
      const status = postgresStatusOf(found);
      missed = status?.inRecovery === false ? 0 : missed + 1;
      waitsAt ??= status?.lsn ?? null;
      if (missed >= PROBES_MISSED) {
        throw new RecoveryError('PromotionFailed', `${inWords(found)}; expected a primary (${error.message})`);
      }
    }
    await clock.sleep(BETWEEN_TRIES_MS);
  } while (clock.nowMs() < untilMs);
  return { waitsAt };
}

/**
 * It is the primary and nobody acknowledges: standbys of its set have gone meanwhile, or do not write. It waits for those that stream
 * and have what it wrote when it first waited in vain.
 */
async function loosen(
  context: StepContext,
  { spec, instance, target, credentials }: Primary,
  waitsAt: Lsn | null,
): Promise<void> {
  const { admin, ledger, prober } = context.ports;
  const status = postgresStatusOf({ instance, probe: await prober.probe(target, credentials) });
  if (status === null || status.inRecovery) return;
  const set = quorumOf(spec, keepingUp(status, waitsAt));
  const next = synchronousStandbyNames(set);
  if (next === status.synchronousStandbyNames) return;
  const why = `${target.instanceId} acknowledged nothing for ${INVOCATION_MS / 1000} s, and those that keep up with it are ${set.standbys.join(', ') || 'none'}`;
  await record(
    context,
    `loosen-${target.instanceId}-${context.asked}`,
    degraded(spec, set) ?? `commits wait for ${next}`,
    why,
  );
  await whileHeld(context, async ({ sync }) => {
    const wanted = withSet(sync, set);
    if (wanted !== sync) await ledger.setSync(spec.name, sync, wanted, { execution: context.execution });
  });
  await admin.setSync(target, credentials, status.synchronousStandbyNames, next);
}

function keepingUp({ standbys }: PostgresStatus, waitsAt: Lsn | null): readonly string[] {
  return standbys
    .filter((s) => s.state === 'streaming' && s.flushLsn !== null)
    .filter((s) => waitsAt === null || compareLsn(s.flushLsn ?? '0/0', waitsAt) >= 0)
    .map((s) => s.node)
    .sort();
}
