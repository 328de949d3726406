/** How a backup ends. */
import { explain } from '../../recovery/finish.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import type { BackupPorts } from '../ports.ts';
import type { BackupState } from '../state.ts';
import { endLease } from './lease.ts';

/** Measured and logged. Nobody is told: that there is none in time is what people are told. */
export const report =
  ({ leases }: BackupPorts): Step<BackupState> =>
  async (state, context) => {
    const { ports, cluster, nowMs, startedAtMs } = context;
    await endLease(leases, context);
    ports.metrics.count('BackupSucceeded', 1, { cluster });
    ports.metrics.gauge('BackupSeconds', (nowMs - startedAtMs) / 1000, 'Seconds', { cluster });
    ports.metrics.gauge('BackupBytes', state.answer?.storedBytes ?? 0, 'Bytes', { cluster });
    return { outcome: state.outcome ?? 'the backup ended' };
  };

/** What was uploaded is given back. The script's next piece finds no upload, and it ends by itself. */
async function giveBack({ bucket, leases }: BackupPorts, { upload }: BackupState, context: StepContext): Promise<void> {
  if (upload !== null) await bucket.abortUpload(upload.key, upload.uploadId);
  await endLease(leases, context);
}

export const abort =
  (archive: BackupPorts): Step<BackupState> =>
  async (state, context) => {
    await giveBack(archive, state, context);
    return {};
  };

/** A recovery goes first. The next backup is due soon (`archive`). */
export const withdraw =
  (archive: BackupPorts): Step<BackupState> =>
  async (state, context) => {
    await giveBack(archive, state, context);
    const { sentence } = explain(state.error ?? { Error: 'GivesWay', Cause: 'a recovery has begun' });
    context.ports.log.warn('the backup is given up', { cluster: context.cluster, why: sentence });
    return { outcome: 'gave way to a recovery' };
  };
