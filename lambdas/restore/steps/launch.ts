/** The instance that the database is restored on: launched once, and known by this execution's mark. */
import { createHash } from 'node:crypto';
import { RecoveryError } from '../../model/recovery.ts';
import type { RecoveryErrorName } from '../../model/recovery.ts';
import { CLUSTER_TAG, INCIDENT_TAG } from '../../model/spec.ts';
import type { Instance } from '../../model/view.ts';
import { CloudUnavailable } from '../../cloud/ports.ts';
import { mustSucceed, advance } from '../../recovery/command.ts';
import { describe, isLive } from '../../recovery/nodes.ts';
import { isRefusal } from '../../recovery/refusal.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import type { RestorePorts } from '../ports.ts';
import type { AnyRestore, CarriedPlan } from '../state.ts';
import { mustBeNew } from './plan.ts';

export const failureOf = ({ mode }: AnyRestore): RecoveryErrorName =>
  mode === 'drill' ? 'DrillFailed' : 'RestoreFailed';

export function planIn(state: AnyRestore): CarriedPlan {
  if (state.plan !== null) return state.plan;
  throw new RecoveryError(failureOf(state), 'the state has no plan, expected what Plan answered');
}

/** Is it what this execution launched, and nothing of a live cluster (safety rules 8 and 11). */
export const isOwn = (i: Instance, as: string, incident: string): boolean =>
  i.tags[CLUSTER_TAG] === as && i.tags[INCIDENT_TAG] === incident;

/** The instance, looked at right before an act on it. @throws RecoveryError when it is not this execution's. */
export async function ownNode(state: AnyRestore, context: StepContext): Promise<Instance> {
  const { as } = planIn(state);
  if (state.joiner === null)
    throw new RecoveryError(failureOf(state), 'the state names no instance, expected what Launch answered');
  const instance = await describe(context, state.joiner);
  if (instance !== null && isOwn(instance, as, context.incident)) return instance;
  const found = instance === null ? 'EC2 does not know it' : `its tags are ${JSON.stringify(instance.tags)}`;
  throw new RecoveryError(
    failureOf(state),
    `${state.joiner} is not what this restore launched (${found}): expected rejoin:cluster=${as} and rejoin:incident=${context.incident}; nothing is done to it`,
  );
}

/** @throws RecoveryError RestoreFailed or DrillFailed when no subnet takes it; RestoreRefused when the name is somebody's by now. */
export const launch =
  <S extends AnyRestore>({ bucket }: RestorePorts): Step<S> =>
  async (state, context) => {
    const spec = await loadSpec(context);
    const { as } = planIn(state);
    await mustBeNew(context, bucket, as);
    const known = (await context.ports.instances.ofCluster(as)).find(
      (i) => isLive(i) && isOwn(i, as, context.incident),
    );
    if (known !== undefined) return { joiner: known.id } as Partial<S>;
    const refusals: string[] = [];
    for (const { id: subnetId, zone } of spec.subnets) {
      try {
        const launched = await context.ports.instances.launch({
          ...{ cluster: as, incident: context.incident, replaces: null, launchTemplate: spec.launchTemplate, subnetId },
          clientToken: createHash('sha256').update(`${context.execution} ${subnetId}`).digest('hex'),
          withoutDevice: null,
        });
        context.ports.log.info(`launched ${launched.id}`, { cluster: as, zone });
        return { joiner: launched.id } as Partial<S>;
      } catch (error) {
        if (!isRefusal(error) && !lacksRoom(error)) throw error;
        refusals.push(`${zone}: ${error.message}`);
      }
    }
    throw new RecoveryError(
      failureOf(state),
      `EC2 launches ${spec.launchTemplate.id} in no subnet of ${spec.name}: ${refusals.join('; ')}`,
    );
  };

/** EC2 answers a lack of room as if it were failing: the code is in the cause. */
const lacksRoom = (error: unknown): error is CloudUnavailable =>
  error instanceof CloudUnavailable && error.cause instanceof Error && error.cause.name.startsWith('Insufficient');

/** Running, and its agent takes commands. */
export const awaitRunning =
  <S extends AnyRestore>(): Step<S> =>
  async (state, context) => {
    const id = state.joiner ?? '';
    // Just launched, EC2 may not describe it yet: the same as pending.
    const found = (await describe(context, id))?.state ?? 'pending';
    if (found !== 'pending' && found !== 'running') {
      throw new RecoveryError(failureOf(state), `EC2 says that the new instance ${id} is ${found}; expected running`);
    }
    const online = found === 'running' ? await context.ports.hosts.online([id]) : [];
    if (online.includes(id)) return {};
    failAfter(
      context.waitedMs,
      DEADLINES.bootMs,
      failureOf(state),
      () => `${id} is ${found} and its SSM agent is not online`,
    );
    return { ready: false } as Partial<S>;
  };

/** Disk and configuration; the data directory stays empty. */
export const prepare =
  <S extends AnyRestore>(): Step<S> =>
  async (state, context) => {
    const spec = await loadSpec(context);
    const { id } = await ownNode(state, context);
    const script = {
      instance: id,
      document: `${spec.engine.kind}-prepare`,
      parameters: { Source: 'peer', VolumeId: 'none' },
    };
    const progress = await advance(state, context, () => Promise.resolve(script));
    if (mustSucceed(progress, context, script, failureOf(state), DEADLINES.prepareMs) !== null) return {};
    return { ready: false, command: progress.kind === 'running' ? progress.command : null } as Partial<S>;
  };
