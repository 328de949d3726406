/** The instance lives and its database does not: start the database again where its data is. */
import { RecoveryError } from '../../model/recovery.ts';
import { mayDestroy, mustBeOurs, notTheWriter, othersServe } from '../../recovery/guard.ts';
import { join } from '../../recovery/join.ts';
import { describe } from '../../recovery/nodes.ts';
import { serves } from '../../recovery/serving.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { ReplaceState } from '../state.ts';

/**
 * @throws RecoveryError NodeNotReachable, JoinFailed: the definition goes on to Fence. SeedFailed (the data there is of no
 * use): on to Reseed, in place. ClaimLost, BrakeEngaged, QuorumAtRisk.
 */
export const rejoinInPlace: Step<ReplaceState> = async (state, context) => {
  const node = state.node;
  if (node === null)
    throw new RecoveryError('NodeNotReachable', 'no node was given to rejoin, expected an instance id');
  const spec = await loadSpec(context);
  if (state.command === null) {
    const instance = await describe(context, node);
    if (instance?.state !== 'running') {
      throw new RecoveryError(
        'NodeNotReachable',
        `EC2 says of ${node}: ${instance?.state ?? 'unknown'}; expected running`,
      );
    }
    mustBeOurs(instance, spec.name);
    if (await serves(context, spec, instance)) {
      return { ready: true, path: 'finished', outcome: `nothing to do: ${node} serves again` };
    }
    // The script ends a process that is in the way: as destructive as a stop.
    const act = `end what is left of the database on ${node}`;
    notTheWriter(spec, await mayDestroy(context, act), node, act);
    await othersServe(context, spec, node, act);
    if (!(await context.ports.hosts.online([node])).includes(node)) {
      throw new RecoveryError('NodeNotReachable', `the SSM agent of ${node} is not online: no script can be run there`);
    }
  }
  const outcome = `${node} rejoined in place`;
  return { ...(await join(state, context, spec, node)), joiner: node, path: 'on', outcome };
};
