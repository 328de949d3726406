/** The upload becomes a backup: verified, completed, and told by its manifest, in this order. */
import { parseGtidPosition } from '../../model/archive/gtid.ts';
import type { LogPosition } from '../../model/archive/keys.ts';
import { keyOf } from '../../model/archive/keys.ts';
import type { Manifest } from '../../model/archive/manifest.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { HostPart } from '../parts.ts';
import { differenceOf, parseParts } from '../parts.ts';
import type { BackupPorts } from '../ports.ts';
import type { BackupAnswer, BackupState, Upload } from '../state.ts';
import { uploadOf } from './run.ts';

const positionOf = (place: BackupAnswer['start']): LogPosition =>
  'gtid' in place
    ? { engine: 'galera', gtid: parseGtidPosition(place.gtid) }
    : { engine: 'postgres', timeline: place.timeline, lsn: place.lsn };

/**
 * The manifest is last: whatever ends before it leaves nothing that anybody takes for a backup. Fit to be repeated.
 * @throws RecoveryError BackupFailed: S3 does not have what the host made.
 */
export const complete =
  ({ bucket }: BackupPorts): Step<BackupState> =>
  async (state, context) => {
    const { cluster } = context;
    const upload = uploadOf(state);
    const { answer } = state;
    if (answer === null) throw new RecoveryError('BackupFailed', 'the state has no answer of the script, expected one');
    const spec = await loadSpec(context);
    const host = await hostParts(bucket, upload);
    await completed(bucket, upload, host, answer);
    const manifest: Manifest = {
      version: 1,
      cluster,
      history: upload.history,
      engine: spec.engine.kind,
      id: upload.id,
      data: upload.key,
      engineVersion: answer.engineVersion,
      takenOn: state.node ?? '',
      beganAt: answer.beganAt,
      endedAt: answer.endedAt,
      start: answer.start,
      end: answer.end,
      ...(answer.seqno === undefined ? {} : { seqno: answer.seqno }),
      rawBytes: answer.rawBytes,
      storedBytes: answer.storedBytes,
      sha256: answer.sha256,
      parts: host.map((p) => ({ bytes: p.sizeBytes, sha256: p.sha256 })),
    };
    const key = keyOf(
      { cluster, history: upload.history },
      {
        kind: 'manifest',
        beganMs: Date.parse(answer.beganAt),
        endedMs: Date.parse(answer.endedAt),
        start: positionOf(answer.start),
        end: positionOf(answer.end),
        id: upload.id,
      },
    );
    // A repeated step finds its own: the id is this execution's alone.
    await bucket.put(key, Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
    return { manifest: key, outcome: `${upload.id} is a base backup of ${cluster}, ${answer.storedBytes} bytes` };
  };

async function hostParts(bucket: BackupPorts['bucket'], { key }: Upload): Promise<readonly HostPart[]> {
  const list = key.replace(/data\.zst$/, 'parts');
  const text = await bucket.get(list);
  if (text === null)
    throw new RecoveryError('BackupFailed', `${list} is not there, expected the script's list of its pieces`);
  return parseParts(Buffer.from(text).toString('utf8'));
}

async function completed(
  bucket: BackupPorts['bucket'],
  { key, uploadId }: Upload,
  host: readonly HostPart[],
  said: BackupAnswer,
): Promise<void> {
  // The try before may have completed it, and S3 forgets an upload with that.
  if ((await sizeOf(bucket, key)) === null) {
    const stored = await bucket.parts(key, uploadId);
    const difference = differenceOf(host, stored, said);
    if (difference !== null) throw new RecoveryError('BackupFailed', `${key} is not completed: ${difference}`);
    await bucket.completeUpload(key, uploadId, stored);
  }
  const size = await sizeOf(bucket, key);
  if (size !== said.storedBytes) {
    throw new RecoveryError(
      'BackupFailed',
      `${key} has ${size ?? 'no'} bytes, expected the ${said.storedBytes} that the host made`,
    );
  }
}

async function sizeOf(bucket: BackupPorts['bucket'], key: string): Promise<number | null> {
  for await (const object of bucket.list(key)) if (object.key === key) return object.sizeBytes;
  return null;
}
