/** The script on the host, asked until it has done. */
import { RecoveryError } from '../../model/recovery.ts';
import type { Script } from '../../recovery/command.ts';
import { GivesWay } from '../../recovery/give-way.ts';
import { parseAnswer, work } from '../../recovery/job.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { loadSpec } from '../../recovery/step.ts';
import { MINUTES } from '../../recovery/wait.ts';
import type { BackupPorts } from '../ports.ts';
import { backupAnswer } from '../state.ts';
import type { BackupState, Upload } from '../state.ts';
import { holdLease } from './lease.ts';

/** S3 takes 10,000 parts: 1.2 TiB of compressed data. The host keeps two on its disk. */
const PART_BYTES = 128 * 2 ** 20;
const DEADLINE_MS = 12 * 60 * MINUTES;

export const uploadOf = ({ upload }: BackupState): Upload => {
  if (upload !== null) return upload;
  throw new RecoveryError('BackupFailed', 'the state names no upload, expected what Begin answered');
};

/**
 * A recovery that begins meanwhile goes first: this backup is given up, so that its node can be a donor.
 * @throws GivesWay, or RecoveryError BackupFailed.
 */
export const run =
  ({ bucketName, leases }: BackupPorts): Step<BackupState> =>
  async (state, context) => {
    const { cluster, ports } = context;
    const upload = uploadOf(state);
    const spec = await loadSpec(context);
    await claimIsFree(context);
    await holdLease(leases, context, 'BackupFailed');
    const script: Script = {
      instance: state.node ?? '',
      document: `${spec.engine.kind}-backup`,
      parameters: {
        Bucket: bucketName,
        Key: upload.key,
        UploadId: upload.uploadId,
        PartBytes: String(PART_BYTES),
      },
    };
    const progress = await work(state, context, script, 'BackupFailed', DEADLINE_MS);
    if (progress.kind === 'running') {
      ports.log.info('the backup runs', { cluster, ...progress.said });
      return progress.ask;
    }
    const answer = parseAnswer(backupAnswer, progress.answer, script, 'BackupFailed');
    if (answer.history !== upload.history) {
      throw new RecoveryError(
        'BackupFailed',
        `${script.instance} holds the database ${answer.history}, expected ${upload.history}, which it was probed with`,
      );
    }
    return { answer };
  };

async function claimIsFree({ ports, cluster }: StepContext): Promise<void> {
  const { claim } = (await ports.ledger.read(cluster)).cluster;
  if (claim !== null)
    throw new GivesWay(`${claim.execution} has begun a ${claim.mode} of ${cluster}: the backup is given up`);
}
