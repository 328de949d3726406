/** A planned replacement: the drained node's database is shut down cleanly, so that its volume needs no recovery. */
import { advance, mustSucceed } from '../../recovery/command.ts';
import { scriptOf } from '../../recovery/engine.ts';
import { mayDestroy, notTheWriter, othersServe } from '../../recovery/guard.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { DEADLINES } from '../../recovery/wait.ts';
import type { ReplaceState } from '../state.ts';
import { nodeOf } from './drain.ts';

/** @throws RecoveryError ClaimLost, BrakeEngaged, QuorumAtRisk (rule 6: looked at again), FenceFailed (the script's words). */
export const stopDatabase: Step<ReplaceState> = async (state, context) => {
  const node = nodeOf(state);
  const spec = await loadSpec(context);
  const script = { instance: node, document: scriptOf(spec, 'stop') };
  const progress = await advance(state, context, async () => {
    const act = `stop the database on ${node}`;
    await othersServe(context, spec, node, act, spec.nodes - 1);
    // Last, so that nothing lies between the look at the ledger and the act but the call itself.
    notTheWriter(spec, await mayDestroy(context, act), node, act);
    await record(context, `stop-database-${node}`, `stops the database on ${node}`, `it is drained: ${state.reason}`);
    return { ...script, parameters: {} };
  });
  const output = mustSucceed(progress, context, script, 'FenceFailed', DEADLINES.stopMs);
  if (output !== null) return { ready: true };
  return { ready: false, command: progress.kind === 'running' ? progress.command : null };
};
