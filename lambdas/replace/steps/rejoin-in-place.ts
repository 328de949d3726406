/** The instance lives and its database does not: start the database again where its data is. */
import { RecoveryError } from '../../model/recovery.ts';
import { REPLACES_TAG } from '../../model/spec.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import type { Instance } from '../../model/view.ts';
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
    mustHaveItsDisk(instance, spec);
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

/**
 * What Rejoin launched to give it the lost node's volume has no data disk until then, and a workflow can be stopped before. A database
 * started there would keep what it acknowledges on the root disk, which ends with the instance.
 */
function mustHaveItsDisk({ id, tags, volumes }: Instance, { dataDevice }: ClusterSpec): void {
  if (tags[REPLACES_TAG] === undefined || volumes.some((v) => v.device === dataDevice)) return;
  throw new RecoveryError(
    'JoinFailed',
    `${id} was launched without a disk at ${dataDevice}, for a volume that it was not given; expected a data disk`,
  );
}
