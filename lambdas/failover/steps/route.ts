/** Waits until the balancers have the new primary. */
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { writerRouted } from '../route-writer.ts';
import type { FailoverState } from '../state.ts';
import { candidateOf } from './promote.ts';

/** @throws RecoveryError NotRouted: the definition goes on, and the report says so. */
export const route: Step<FailoverState> = async (state, context) => ({
  ready: await writerRouted(context, await loadSpec(context), candidateOf(state)),
});
