/** Joins the other nodes, one at a time. One that fails is left to reconcile, which replaces it: the cluster serves. */
import { explain } from '../../recovery/finish.ts';
import { awaitCaughtUp, join } from '../../recovery/join.ts';
import { route as routed } from '../../recovery/route.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { BootstrapState } from '../state.ts';
import { chosenOf } from './start.ts';

/** @throws RecoveryError ClaimLost, NoDonor, JoinFailed (the definition goes on to SkipNode). */
export const joinNext: Step<BootstrapState> = async (state, context) => {
  const next = state.remaining[0];
  if (next === undefined) return { ready: true, path: 'route', joiner: null };
  return { ...(await join(state, context, await loadSpec(context), next)), joiner: next, path: 'join' };
};

/** @throws RecoveryError NodeNotReachable, JoinFailed, NotCaughtUp (the definition goes on to SkipNode). */
export const awaitSynced: Step<BootstrapState> = async (state, context) => {
  const [joiner, ...remaining] = state.remaining;
  if (joiner === undefined) return { ready: true };
  const found = await awaitCaughtUp(state, context, await loadSpec(context), joiner);
  if (found.ready !== true) return found;
  return { ...found, remaining, joined: [...state.joined, joiner], joiner: null, progress: null };
};

export const skipNode: Step<BootstrapState> = async (state, context) => {
  const [failed, ...remaining] = state.remaining;
  if (failed === undefined) return { error: null };
  const { name, sentence } = explain(state.error ?? { Error: 'JoinFailed', Cause: 'no error was handed over' });
  await record(context, `skipped-${failed}`, `goes on without ${failed}`, `${name}: ${sentence}`);
  const clean = { error: null, command: null, joiner: null, progress: null, refusedSinceMs: null } as const;
  return { ...clean, remaining, notJoined: [...state.notJoined, failed] };
};

/** @throws RecoveryError NotRouted. */
export const route: Step<BootstrapState> = async (state, context) => {
  const { node, stateUuid, seqno } = chosenOf(state);
  const joined = state.joined.length === 0 ? 'nobody joined' : `${state.joined.join(', ')} joined`;
  const missing = state.notJoined.length === 0 ? '' : `, ${state.notJoined.join(', ')} did not`;
  const outcome = `bootstrapped from ${node} at ${stateUuid}:${seqno}${state.giveUp.length > 0 ? ', a new history since' : ''}; ${joined}${missing}`;
  return { ...(await routed(context, await loadSpec(context), node)), outcome };
};
