import { route as routed } from '../../recovery/route.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';

/** Waits until reconcile has put the joiner into service. @throws RecoveryError NotRouted. */
export const route: Step<ReplaceState> = async (state, context) =>
  routed(context, await loadSpec(context), joinerOf(state));
