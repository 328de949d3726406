/** Makes the joiner's data directory ready: the surviving volume's data, or an empty one for a transfer from a peer. */
import { advance, mustSucceed } from '../../recovery/command.ts';
import { scriptOf } from '../../recovery/engine.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { DEADLINES } from '../../recovery/wait.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';

/** @throws RecoveryError ClaimLost, SeedFailed (the definition goes on to Reseed). */
export const seed: Step<ReplaceState> = async (state, context) => {
  const instance = joinerOf(state);
  const script = { instance, document: scriptOf(await loadSpec(context), 'prepare') };
  const source = state.seed === 'volume' && state.volume !== null ? 'volume' : 'peer';
  const progress = await advance(state, context, async () => {
    await holdClaim(context);
    const why = source === 'volume' ? `${state.volume ?? ''} survived` : 'no surviving data can be used';
    await record(context, `seed-${instance}-${source}-${state.reseeds}`, `seeds ${instance} from ${source}`, why);
    return { ...script, parameters: { Source: source, VolumeId: state.volume ?? 'none' } };
  });
  const output = mustSucceed(progress, context, script, 'SeedFailed', DEADLINES.prepareMs);
  if (output !== null) return { ready: true };
  return { ready: false, command: progress.kind === 'running' ? progress.command : null };
};
