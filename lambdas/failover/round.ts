/** A candidate failed in the middle: it is the lost primary now, and another is looked for. */
import { RecoveryError } from '../model/recovery.ts';
import { explain } from '../recovery/finish.ts';
import { holdClaim } from '../recovery/guard.ts';
import { describe, probeAll } from '../recovery/nodes.ts';
import { postgresStatusOf } from '../recovery/status.ts';
import { loadSpec, record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';
import type { FailoverState } from './state.ts';
import { dataOf } from './steps/claim.ts';

/** Whoever fails that often fails for a reason that another try does not mend. */
const MOST_ROUNDS = 3;

/**
 * What changes in the state when Fence was entered from a failed promotion; nothing otherwise. The ledger's writer says who has
 * to be fenced now: it names the candidate from the moment on in which that could have become the primary. What the
 * others told is void, since they follow the candidate; what the candidate told of itself still holds for the primary before it.
 * @throws RecoveryError PromotionFailed when no candidate lasts, ClaimLost.
 */
export async function beginRound(state: FailoverState, context: StepContext): Promise<Partial<FailoverState>> {
  if (state.error === undefined || state.error === null) return {};
  const { name, sentence } = explain(state.error);
  const rounds = state.rounds + 1;
  await record(
    context,
    `round-${rounds}`,
    `${state.candidate ?? 'the candidate'} did not become the primary`,
    `${name}: ${sentence}`,
  );
  if (rounds > MOST_ROUNDS)
    throw new RecoveryError('PromotionFailed', `${rounds} candidates failed, the last one: ${sentence}`);
  const clocks = { startsSinceMs: null, unheardSinceMs: null } as const;
  const fresh = { rounds, error: null, told: {}, fenced: null, starts: {}, ...clocks, path: 'on' } as const;
  const ledger = await holdClaim(context);
  const { writer } = ledger;
  if (writer === null || writer === state.node) return fresh;
  const spec = await loadSpec(context);
  const instance = await describe(context, writer);
  const [found] = await probeAll(context, spec, instance === null ? [] : [instance]);
  if (found !== undefined && postgresStatusOf(found)?.inRecovery === false) {
    await record(context, `goes-on-${rounds}`, `goes on with ${writer}`, 'it answers, and is the primary');
    return { ...fresh, ready: true, path: 'promote', candidate: writer };
  }
  const told = state.told[writer];
  return {
    ...fresh,
    node: writer,
    passed: [...state.passed, ...(state.node === null ? [] : [state.node])],
    remembered: told === undefined ? state.remembered : { ...state.remembered, [writer]: told },
    candidate: null,
    joiner: null,
    revived: null,
    ...(await dataOf(context, spec, ledger, instance)),
  };
}
