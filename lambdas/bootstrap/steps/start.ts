/** Starts the new primary component on the chosen node and waits until it serves. */
import { serves } from '../../model/galera.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { advance, mustSucceed } from '../../recovery/command.ts';
import { mayDestroy } from '../../recovery/guard.ts';
import { describe, inWords, probeAll } from '../../recovery/nodes.ts';
import { askForReconcile } from '../../recovery/route.ts';
import { galeraStatusOf } from '../../recovery/status.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import type { BootstrapState, Position } from '../state.ts';
import { inPrimary } from './begin.ts';

/**
 * Without those who were given up the cluster may lack transactions that it acknowledged, and would give their numbers again:
 * it begins a new history then, so that whoever has the old one gets all data anew when it comes back, and the archive begins
 * a folder of its own (docs/decisions/0027).
 * @throws RecoveryError ClaimLost, BrakeEngaged, PrimaryComponentExists, BootstrapFailed.
 */
export const bootstrap: Step<BootstrapState> = async (state, context) => {
  const { node, stateUuid, seqno } = chosenOf(state);
  const script = { instance: node, document: 'galera-bootstrap' };
  const isNewHistory = state.giveUp.length > 0;
  const progress = await advance(state, context, async () => {
    const all = await context.ports.instances.ofCluster(context.cluster);
    // The chosen node itself may have been started by a try that was killed before it could say so.
    const others = (await inPrimary(context, all)).filter((id) => id !== node);
    if (others.length > 0) {
      throw new RecoveryError(
        'PrimaryComponentExists',
        `${others.join(', ')} is in a primary component now: ${node} is not bootstrapped; join it instead`,
      );
    }
    await mayDestroy(context, `start a new primary component on ${node}`);
    await record(
      context,
      `bootstrap-${node}`,
      `starts a new primary component on ${node}`,
      isNewHistory
        ? `it holds ${stateUuid}:${seqno}, the newest position that is known, and begins a new history, since ${state.giveUp.join(', ')} was given up`
        : `it holds ${stateUuid}:${seqno}, the newest position of all`,
    );
    const parameters = { StateUuid: stateUuid, Seqno: String(seqno), NewHistory: isNewHistory ? 'yes' : 'no' };
    return { ...script, parameters };
  });
  const output = mustSucceed(progress, context, script, 'BootstrapFailed', DEADLINES.bootstrapMs);
  if (output !== null) return { ready: true };
  return { ready: false, command: progress.kind === 'running' ? progress.command : null };
};

/** Traffic comes back with the first node: reconcile is asked at once. @throws RecoveryError BootstrapFailed. */
export const awaitPrimary: Step<BootstrapState> = async (state, context) => {
  const { node } = chosenOf(state);
  const instance = await describe(context, node);
  const [found] = await probeAll(context, await loadSpec(context), instance === null ? [] : [instance]);
  const status = found === undefined ? null : galeraStatusOf(found);
  if (status !== null && serves(status)) {
    await record(
      context,
      `primary-${node}`,
      `${node} is a primary component of its own`,
      `${status.state} at ${status.seqno}`,
    );
    await askForReconcile(context, 'primary');
    return { ready: true };
  }
  const seen = found === undefined ? `EC2 does not know ${node}` : inWords(found);
  failAfter(context.waitedMs, DEADLINES.bootstrapMs, 'BootstrapFailed', () => `${seen}; expected Synced, Primary`);
  return { ready: false };
};

export function chosenOf(state: BootstrapState): Position {
  if (state.chosen !== null) return state.chosen;
  throw new RecoveryError('BootstrapFailed', 'the state names no chosen node, expected what Choose answered');
}
