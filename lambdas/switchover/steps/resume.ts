/** The switchover has failed. Unless another may be the primary by now, the old one is started and promoted again. */
import { attachAgain } from '../../failover/attach-again.ts';
import { passOverUsed } from '../../failover/new-timeline.ts';
import { onCandidate } from '../../failover/on-candidate.ts';
import { verifyPrimary } from '../../failover/verify-primary.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { advance, tail } from '../../recovery/command.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { databaseOf, describe, inWords, probeAll } from '../../recovery/nodes.ts';
import { postgresStatusOf } from '../../recovery/status.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import type { SwitchoverState } from '../state.ts';
import { oldOf } from './checkpoint.ts';

const INVOCATION_MS = 6000;
const BETWEEN_LOOKS_MS = 200;

/**
 * The ledger's writer says who may be promoted: it names the candidate before that becomes the primary. As long as it is the
 * old one, which has ended cleanly, that one has everything, and nobody else acknowledges writes. Not stopped by the
 * brake: it takes nothing away, it gives back.
 * @throws RecoveryError ClaimLost, PromotionFailed: then reconcile finds a lost primary, and fails over.
 */
export const resume: Step<SwitchoverState> = async (before, context) => {
  const { clock } = context.ports;
  const untilMs = clock.nowMs() + INVOCATION_MS;
  let state = before;
  for (;;) {
    const changed = await look(state, context);
    if (changed.ready !== false || clock.nowMs() >= untilMs) return changed;
    state = { ...state, ...changed };
    await clock.sleep(BETWEEN_LOOKS_MS);
  }
};

async function look(state: SwitchoverState, context: StepContext): Promise<Partial<SwitchoverState>> {
  const old = oldOf(state);
  const [spec, { writer }] = await Promise.all([loadSpec(context), holdClaim(context)]);
  if (writer !== old) {
    await record(
      context,
      'not-resumed',
      `leaves ${old} as it is`,
      `the writer is ${writer ?? 'nobody'}: when that does not serve, it is failed over`,
    );
    return { ready: true };
  }
  const instance = await describe(context, old);
  const [found] = await probeAll(context, spec, instance === null ? [] : [instance]);
  if (instance === null || found === undefined)
    throw new RecoveryError('PromotionFailed', `EC2 does not know ${old}; expected the old primary`);
  failAfter(
    context.waitedMs,
    DEADLINES.stopMs,
    'PromotionFailed',
    () => `${inWords(found)}; expected the old primary to come back`,
  );
  const status = postgresStatusOf(found);
  if (status === null) return { ready: false, ...(await startAgain(state, context, old)) };
  if (status.inRecovery) {
    await record(
      context,
      `resume-${old}`,
      `promotes ${old} again`,
      'it ended cleanly, has everything, and nobody else was promoted',
    );
    const credentials = await context.ports.secrets.credentials(spec.credentialsSecretArn);
    const target = databaseOf(spec, instance);
    await passOverUsed(context, { target, credentials, timeline: status.timeline });
    await onCandidate(context, old, () => context.ports.admin.promote(target, credentials));
  }
  await attachAgain(context);
  return { ready: await verifyPrimary(context, spec, old), command: null };
}

/** A shutdown cannot be called off: the script fails until the old server has ended, and is started anew. */
async function startAgain(
  state: SwitchoverState,
  context: StepContext,
  old: string,
): Promise<Partial<SwitchoverState>> {
  const ours = state.command?.document === 'postgres-start' ? state : { ...state, command: null };
  const progress = await advance(ours, context, async () => {
    await record(
      context,
      `restart-${old}`,
      `starts the database on ${old} again`,
      'the switchover failed before another was promoted',
    );
    return { instance: old, document: 'postgres-start', parameters: {} };
  });
  if (progress.kind === 'running') return { command: progress.command };
  if (progress.kind === 'failed')
    context.ports.log.warn(`postgres-start on ${old} failed`, { why: tail(progress.error) });
  return { command: null };
}
