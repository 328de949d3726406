/** One node's own workflow: started once, and waited for. */
import { createHash } from 'node:crypto';
import type { Workflows } from '../../cloud/ports.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { MINUTES, pollSeconds } from '../../recovery/wait.ts';
import type { Child, RollingState } from '../state.ts';

/** A child takes minutes to hours, and this machine has to stay below 25,000 events for all of them. */
const LONGEST_WAIT_SECONDS = 60;
/** DescribeExecution is eventually consistent. */
const NOT_FOUND_BELIEVED_AFTER_MS = MINUTES;

/**
 * The same name for a repeated step, another for another rolling replacement. At most 80 characters:
 * https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
 */
export const childName = (cluster: string, { mode, node }: Pick<Child, 'mode' | 'node'>, execution: string): string =>
  `${cluster}-${mode}-${node}-${createHash('sha256').update(execution).digest('hex').slice(0, 12)}`;

/** Starts the child; one that was started already is as good. */
export const startChild =
  (workflows: Workflows): Step<RollingState> =>
  async (state, { cluster, incident, execution }) => {
    const child = childOf(state);
    const { mode, node } = child;
    const name = childName(cluster, child, execution);
    const started = await workflows.start(name, { cluster, incident, mode, node, reason: state.reason });
    return { child: { ...child, execution: started } };
  };

/** @throws RecoveryError RollingStopped when it ended badly: the other nodes are left as they are. */
export const awaitChild =
  (workflows: Workflows): Step<RollingState> =>
  async (state, context) => {
    const { mode, node, execution } = childOf(state);
    if (execution === null)
      throw new RecoveryError('RollingStopped', `the ${mode} of ${node} was not started, expected its execution`);
    const found = await workflows.state(execution);
    const waits = found === 'RUNNING' || found === 'PENDING_REDRIVE';
    if (waits || (found === 'NOT_FOUND' && context.waitedMs <= NOT_FOUND_BELIEVED_AFTER_MS)) {
      return { ready: false, waitSeconds: pollSeconds(context.waitedMs, LONGEST_WAIT_SECONDS) };
    }
    if (found !== 'SUCCEEDED') {
      throw new RecoveryError(
        'RollingStopped',
        `the ${mode} of ${node} ended ${found} (${execution}): the nodes after it are left as they are. Mend the cause, then ` +
          'start this again: it goes on with what is left',
      );
    }
    await record(context, `ended-${mode}-${node}`, `the ${mode} of ${node} has ended`, execution);
    return mode === 'roll' ? { rolled: [...state.rolled, node] } : { switched: [...state.switched, node] };
  };

function childOf({ child }: RollingState): Child {
  if (child !== null) return child;
  throw new RecoveryError('RollingStopped', 'the state names no node, expected what ChooseNode answered');
}
