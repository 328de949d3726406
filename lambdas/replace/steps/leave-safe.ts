/** Before giving up: takes back what was launched and never became a member. */
import { mayDestroy } from '../../recovery/guard.ts';
import { isOurs } from '../../recovery/nodes.ts';
import { look, servingOf } from '../../recovery/serving.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { dataVolumeOf } from '../../model/view.ts';
import type { Instance } from '../../model/view.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import type { ReplaceState } from '../state.ts';
import { UNUSABLE_TAG } from '../../model/volume.ts';
import { adoptable } from './launch.ts';

/**
 * The state that Catch handed over is the one before the failed step, so the instances are found by their tags and the
 * claim. Only what this execution launched or went on with is touched: what another one launched for the incident may
 * have become a member since, and a single probe that fails is no proof that it is none. A member, or one that may be
 * catching up as one, stays; and all stay while nobody else serves (safety rule 6).
 * @throws RecoveryError ClaimLost, BrakeEngaged: then everything stays as it is, and Escalate says so.
 */
export const leaveSafe: Step<ReplaceState> = async (state, context) => {
  const { ports, cluster } = context;
  const { claim } = (await ports.ledger.read(cluster)).cluster;
  if (claim?.execution !== context.execution) return { command: null };
  const all = await ports.instances.ofCluster(cluster);
  const launched = all.filter(
    (i) =>
      i.id !== state.node &&
      isOurs(i, cluster) &&
      adoptable(i, context.incident, state.node) &&
      (i.id === claim.joiner || i.launchedAtMs >= toSecond(context.startedAtMs)),
  );
  if (launched.length === 0) {
    await tellOfKept(state, context);
    return { command: null };
  }
  const spec = await loadSpec(context);
  const { engine, nodes, reference } = await look(context, spec, launched);
  const others = all.filter((i) => !launched.includes(i));
  const someServe = (await servingOf(context, spec, others)).length > 0;
  for (const node of nodes) {
    if (engine.isMember(node, reference) || engine.isWhole(state.progress)) {
      await record(
        context,
        `kept-${node.instance.id}`,
        `leaves ${node.instance.id} running`,
        'it is a member of the cluster',
      );
    } else if (state.error?.Error === 'NotCaughtUp') {
      await record(
        context,
        `kept-${node.instance.id}`,
        `leaves ${node.instance.id} running`,
        'its database runs and may be receiving its data yet: ending that would mean to begin anew',
      );
    } else if (!someServe) {
      await record(
        context,
        `kept-${node.instance.id}`,
        `leaves ${node.instance.id} running`,
        'nobody else serves, and it may have been a member when nobody looked: its data may be the last',
      );
    } else await takeBack(state, context, spec, node.instance);
  }
  return { command: null };
};

/** EC2 gives launch times in whole seconds. */
const toSecond = (ms: number): number => Math.floor(ms / 1000) * 1000;

/** A volume attached after the launch outlives the instance (EC2's default), unless somebody has changed that. */
async function takeBack(
  state: ReplaceState,
  context: StepContext,
  spec: ClusterSpec,
  instance: Instance,
): Promise<void> {
  const surviving = instance.volumes.find((v) => v.volumeId === state.volume && v.device === spec.dataDevice);
  await mayDestroy(context, `terminate ${instance.id}`);
  if (surviving?.deleteOnTermination === true) {
    await record(
      context,
      `saved-${surviving.volumeId}`,
      `detaches ${surviving.volumeId} from ${instance.id}`,
      "the lost node's data is kept for the next try",
    );
    await context.ports.volumes.detach(surviving.volumeId);
  }
  await record(
    context,
    `took-back-${instance.id}`,
    `terminates ${instance.id}`,
    'it was launched for this incident and never became a member',
  );
  await markOwnDisk(state, context, spec, instance);
  await tellOfKept(state, context);
  await context.ports.instances.terminate(instance.id);
}

/** The lost node's data wait for the next try, and if none comes, for a person. */
async function tellOfKept({ volume, node }: ReplaceState, context: StepContext): Promise<void> {
  if (volume === null) return;
  const whose = node === null ? 'a lost node' : node;
  await record(context, `left-${volume}`, `leaves the volume ${volume}`, `the data of ${whose}, kept for the next try`);
}

/** Its own data disk outlives it and holds nothing whole: no later try may take it for the lost node's data. */
async function markOwnDisk(
  state: ReplaceState,
  context: StepContext,
  spec: ClusterSpec,
  instance: Instance,
): Promise<void> {
  const id = dataVolumeOf(instance, spec.dataDevice);
  if (id === null || id === state.volume) return;
  await context.ports.volumes.tag(id, { [UNUSABLE_TAG]: context.incident });
  await record(
    context,
    `left-${id}`,
    `leaves the volume ${id}`,
    `the disk of ${instance.id}, which never had all data`,
  );
}
