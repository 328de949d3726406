/** May it begin at all: a person is told at once. */
import { RecoveryError } from '../../model/recovery.ts';
import { isLive } from '../../recovery/nodes.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { forbidden, unsettled } from '../obstacles.ts';
import type { RollingState } from '../state.ts';

/**
 * @throws RecoveryError RollingStopped: brake, maintenance, OBSERVE, a claim, an open incident, a node that does not serve, or
 * a launch template that means another version than the person said.
 */
export const begin: Step<RollingState> = async (state, context) => {
  const { ports, cluster } = context;
  const spec = await loadSpec(context);
  const { cluster: ledger, brake } = await ports.ledger.read(cluster);
  const live = (await ports.instances.ofCluster(cluster)).filter(isLive);
  const obstacle = forbidden(ledger, brake, spec) ?? (await unsettled(context, spec, ledger, live));
  if (obstacle !== null)
    throw new RecoveryError('RollingStopped', `${cluster} is not replaced node by node: ${obstacle}`);
  const version = await ports.instances.templateVersion(spec.launchTemplate);
  const { id, version: declared } = spec.launchTemplate;
  if (state.version !== null && String(state.version) !== version) {
    throw new RecoveryError(
      'RollingStopped',
      `version ${state.version} was asked for, and ${declared} of ${id} means ${version} now: that is what nodes of ${cluster} ` +
        'are launched from. Declare the version, or change what it means, then start this again',
    );
  }
  await record(context, 'begin', `replaces ${cluster} node by node`, `by version ${version} of ${id}: ${state.reason}`);
  return { path: 'child' };
};
