/** How a restore ends. Nothing here needs the ledger. */
import { explain } from '../../recovery/finish.ts';
import { describe } from '../../recovery/nodes.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { duration } from '../../recovery/wait.ts';
import type { AnyRestore, RestoreState } from '../state.ts';
import { isOwn, planIn } from './launch.ts';

export const report: Step<RestoreState> = async (state, context) => {
  const { ports, cluster, nowMs, startedAtMs } = context;
  const { as, summary } = planIn(state);
  const { restoredTo, lastTransactionAt, downloadMs, replayMs } = state.answer ?? {};
  const outcome = `${cluster} is restored as ${as} at ${state.address ?? 'no address'}`;
  ports.metrics.count('RestoreSucceeded', 1, { cluster });
  ports.metrics.gauge('RestoreSeconds', (nowMs - startedAtMs) / 1000, 'Seconds', { cluster });
  await ports.notifications.publish(
    `Rejoin: ${cluster}: restored as ${as}`,
    [
      `What: ${outcome} (instance ${state.joiner ?? ''}), ${duration(nowMs - startedAtMs)} after the start.`,
      `Asked for: ${state.target}. Restored to: ${restoredTo ?? ''}, last transaction ${lastTransactionAt ?? 'unknown'}.`,
      `Download ${duration(downloadMs ?? 0)}, replay ${duration(replayMs ?? 0)}.`,
      `Why: ${state.reason}.`,
      'It is one node, with the users and passwords of the old cluster, and nothing routes to it.',
      '',
      `Plan: ${JSON.stringify(summary)}`,
    ].join('\n'),
  );
  return { outcome };
};

/**
 * What was launched is stopped, not left running, for a look at it; only what carries this execution's mark (rules 8, 11).
 * An instance that Launch made and no step knows of is found by that mark.
 */
export const stopNode =
  <S extends AnyRestore>(): Step<S> =>
  async (state, context) => {
    for (const { id, state: now } of await ownInstances(state, context)) {
      if (now === 'pending' || now === 'running') await context.ports.instances.stop(id);
      context.ports.log.warn(`${id} is stopped: the restore failed`, { cluster: context.cluster });
      return { joiner: id } as Partial<S>;
    }
    return {};
  };

export async function ownInstances(state: AnyRestore, context: StepContext) {
  const { plan, joiner } = state;
  if (plan === null) return [];
  const byName = await context.ports.instances.ofCluster(plan.as);
  const known = joiner === null || byName.some((i) => i.id === joiner) ? null : await describe(context, joiner);
  const all = known === null ? byName : [...byName, known];
  return all.filter((i) => isOwn(i, plan.as, context.incident) && i.state !== 'terminated');
}

/** Told once, with the instance that was left. */
export const escalate: Step<RestoreState> = async (state, context) => {
  const { ports, cluster, nowMs, startedAtMs } = context;
  const why = explain(state.error ?? { Error: 'Unknown', Cause: 'no error was handed over' });
  const left =
    state.joiner === null
      ? 'nothing was launched'
      : `${state.joiner} was launched and is stopped: terminate it when it is not needed`;
  await ports.notifications.publish(
    `Rejoin: ${cluster}: restore gave up: ${why.name}`,
    [
      `What: the restore of ${cluster} to ${state.target} gave up after ${duration(nowMs - startedAtMs)}; ${left}.`,
      `Why: ${why.name}: ${why.sentence}`,
      'No live cluster was touched.',
      `Runbook: ${why.anchor}`,
    ].join('\n'),
  );
  ports.metrics.count('RestoreFailed', 1, { cluster });
  return { outcome: `gave up: ${why.name}; ${left}` };
};

/** Nobody's claim is needed, so none can be lost: here for the definitions' common ends. */
export const withdraw =
  <S extends AnyRestore>(): Step<S> =>
  async (state, context) =>
    stopNode<S>()(state, context);
