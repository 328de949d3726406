/** The comparison, and what is left of a drill: nothing but its figures. */
import { RecoveryError } from '../../model/recovery.ts';
import { CLUSTER_TAG, INCIDENT_TAG } from '../../model/spec.ts';
import type { Volume } from '../../model/volume.ts';
import { explain } from '../../recovery/finish.ts';
import { parseAnswer, work } from '../../recovery/job.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { MINUTES, duration, failAfter } from '../../recovery/wait.ts';
import { checksumAnswer } from '../state.ts';
import type { DrillState } from '../state.ts';
import { ownInstances } from '../steps/finish.ts';
import { ownNode } from '../steps/launch.ts';

const CHECKSUM_MS = 6 * 60 * MINUTES;

/** @throws RecoveryError DrillFailed: what was restored is another database than the archive should hold. */
export const compare: Step<DrillState> = async (state, context) => {
  const spec = await loadSpec(context);
  const { id } = await ownNode(state, context);
  const script = { instance: id, document: `${spec.engine.kind}-checksum`, parameters: { Live: 'no' } };
  const progress = await work(state, context, script, 'DrillFailed', CHECKSUM_MS);
  if (progress.kind === 'running') return progress.ask;
  const found = parseAnswer(checksumAnswer, progress.answer, script, 'DrillFailed');
  const { expected } = state;
  const same =
    expected !== null &&
    found.digest === expected.digest &&
    found.tables === expected.tables &&
    found.rows === expected.rows;
  if (same)
    return {
      path: 'ended',
      outcome: `the restored ${context.cluster} is the same: ${found.tables} tables, ${found.rows} rows`,
    };
  throw new RecoveryError(
    'DrillFailed',
    `what was restored to ${state.target ?? ''} has ${found.tables} tables, ${found.rows} rows and checksum ${found.digest}; ` +
      `${state.node ?? ''} had ${expected?.tables ?? 0}, ${expected?.rows ?? 0} and ${expected?.digest ?? ''} there`,
  );
};

/** A volume comes off its node when that has ended. */
const GONE_MS = 15 * MINUTES;

/**
 * Ends what carries this drill's mark, node and volumes, and nothing else (safety rule 8). `path` stays: it says how the drill went.
 * @throws RecoveryError DrillFailed: something of it is still there after its time.
 */
export const cleanUp: Step<DrillState> = async (state, context) => {
  const { instances, volumes, log } = context.ports;
  const why = { cluster: context.cluster, why: 'the drill has ended' };
  const left = await ownInstances(state, context);
  for (const { id, state: now } of left) {
    if (now === 'shutting-down') continue;
    await instances.terminate(id);
    log.info(`terminated ${id}`, why);
  }
  const disks = await ownVolumes(state, context);
  for (const { id, state: now } of disks) {
    if (now !== 'available') continue;
    await volumes.delete(id);
    log.info(`deleted ${id}`, why);
  }
  const names = [...left, ...disks].map((r) => r.id);
  if (names.length === 0) return {};
  failAfter(
    context.waitedMs,
    GONE_MS,
    'DrillFailed',
    () => `${names.join(', ')}, of the drill, cannot be cleared away`,
  );
  return { ready: false };
};

async function ownVolumes({ plan }: DrillState, { ports, incident }: StepContext): Promise<readonly Volume[]> {
  if (plan === null) return [];
  const all = await ports.volumes.ofCluster(plan.as);
  return all.filter(
    (v) => v.tags[CLUSTER_TAG] === plan.as && v.tags[INCIDENT_TAG] === incident && v.state !== 'deleting',
  );
}

/** Seconds from the plan to a database that serves. */
export const report: Step<DrillState> = async (state, { ports, cluster }) => {
  const { plannedAtMs, restoredAtMs, rpoSeconds } = state;
  const dimensions = { cluster };
  if (plannedAtMs !== null && restoredAtMs !== null) {
    ports.metrics.gauge('DrillRestoreSeconds', (restoredAtMs - plannedAtMs) / 1000, 'Seconds', dimensions);
  }
  if (rpoSeconds !== null) ports.metrics.gauge('DrillRpoSeconds', rpoSeconds, 'Seconds', dimensions);
  ports.metrics.gauge('DrillFailed', 0, 'Count', dimensions);
  return { outcome: state.outcome ?? 'the drill ended' };
};

export const escalate: Step<DrillState> = async (state, { ports, cluster, nowMs, startedAtMs }) => {
  const why = explain(state.error ?? { Error: 'Unknown', Cause: 'no error was handed over' });
  ports.metrics.gauge('DrillFailed', 1, 'Count', { cluster });
  await ports.notifications.publish(
    `Rejoin: ${cluster}: a rehearsed restore failed`,
    [
      `What: the drill of ${cluster} failed after ${duration(nowMs - startedAtMs)}.`,
      `Why: ${why.name}: ${why.sentence}`,
      'Until it passes, do not rely on the archive.',
      'Runbook: docs/runbook.md#drillfailed',
    ].join('\n'),
  );
  return { outcome: `the drill failed: ${why.name}` };
};
