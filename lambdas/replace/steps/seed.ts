/** Makes the joiner's data directory ready: the surviving volume's data, the archive's, or an empty one for a transfer from a peer. */
import { advance, mustSucceed } from '../../recovery/command.ts';
import { scriptOf } from '../../recovery/engine.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { DEADLINES } from '../../recovery/wait.ts';
import type { SeedPorts } from '../ports.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';
import { planSeed, restoreSeed } from './seed-from-archive.ts';

/** @throws RecoveryError ClaimLost, SeedFailed (the definition goes on to Reseed). */
export const seed =
  (archive: SeedPorts | null): Step<ReplaceState> =>
  async (state, context) => {
    if (state.seed !== 'archive') return prepare(state, context);
    if (state.archive === null) {
      const ready = await prepare(state, context);
      if (ready.ready !== true) return ready;
      return { ready: false, command: null, archive: { sinceMs: context.nowMs, plan: null } };
    }
    const { plan, sinceMs } = state.archive;
    return plan === null
      ? planSeed(state, context, archive, sinceMs)
      : restoreSeed(state, context, archive, { ...plan, sinceMs });
  };

const prepare: Step<ReplaceState> = async (state, context) => {
  const instance = joinerOf(state);
  const script = { instance, document: scriptOf(await loadSpec(context), 'prepare') };
  const source = state.seed === 'volume' && state.volume !== null ? 'volume' : 'peer';
  const progress = await advance(state, context, async () => {
    await holdClaim(context);
    const why = source === 'volume' ? `${state.volume ?? ''} survived` : 'no surviving data can be used';
    const from = state.seed === 'archive' ? state.seed : source;
    await record(context, `seed-${instance}-${from}-${state.reseeds}`, `seeds ${instance} from ${from}`, why);
    return { ...script, parameters: { Source: source, VolumeId: state.volume ?? 'none' } };
  });
  const output = mustSucceed(progress, context, script, 'SeedFailed', DEADLINES.prepareMs);
  if (output !== null) return { ready: true };
  return { ready: false, command: progress.kind === 'running' ? progress.command : null };
};
