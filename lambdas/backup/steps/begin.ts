/** Who is backed up, and the upload that its script writes into. */
import { keyOf } from '../../model/archive/keys.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { isLive } from '../../recovery/nodes.ts';
import { look, serving } from '../../recovery/serving.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { MINUTES } from '../../recovery/wait.ts';
import { chooseNode } from '../choose-node.ts';
import type { BackupPorts } from '../ports.ts';
import type { BackupState } from '../state.ts';
import { holdLease } from './lease.ts';

/** A recovery ends in that time, or a person is needed anyway. */
const PATIENCE_MS = 45 * MINUTES;

/** @throws RecoveryError BackupRefused: no archive is declared, or no node became free in time. */
export const choose: Step<BackupState> = async (_, context) => {
  const { ports, cluster } = context;
  const spec = await loadSpec(context);
  if (spec.archive === undefined) {
    throw new RecoveryError('BackupRefused', `${cluster} has no archive: declare it with \`archive\` (docs/deploy.md)`);
  }
  const { cluster: ledger } = await ports.ledger.read(cluster);
  const live = (await ports.instances.ofCluster(cluster)).filter(isLive);
  const choice = chooseNode(spec, ledger, serving(await look(context, spec, live)));
  if (choice.kind === 'node') {
    ports.log.info(`${choice.node.instance.id} is backed up`, { cluster, why: choice.why });
    return { node: choice.node.instance.id, history: choice.history };
  }
  if (context.waitedMs > PATIENCE_MS) {
    throw new RecoveryError(
      'BackupRefused',
      `${cluster} is not backed up: ${choice.why}, for ${PATIENCE_MS / MINUTES} min`,
    );
  }
  ports.log.info('the backup waits', { cluster, why: choice.why });
  return { ready: false };
};

/** `20261120T140000Z-i-0123456789abcdef0`: the same for a repeated step. */
export const backupId = (startedAtMs: number, instance: string): string =>
  `${new Date(startedAtMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z-${instance}`;

/** An upload that a killed step began and nobody knows is ended by the bucket's lifecycle rule; it is no object. */
export const begin =
  ({ bucket, leases }: BackupPorts): Step<BackupState> =>
  async (state, context) => {
    const { cluster } = context;
    const { node, history } = state;
    if (node === null || history === null)
      throw new Error('the state names no node and history, expected what ChooseNode answered');
    await holdLease(leases, context, 'BackupRefused');
    const id = backupId(context.startedAtMs, node);
    const key = keyOf({ cluster, history }, { kind: 'base', id });
    return { upload: { key, id, history, uploadId: await bucket.beginUpload(key) } };
  };
