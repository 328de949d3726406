/** A Galera cluster with an archive in memory, and hosts that restore from it. */
import type { CommandState } from '../../lambdas/cloud/ports.ts';
import { parseKey } from '../../lambdas/model/archive/keys.ts';
import type { Manifest } from '../../lambdas/model/archive/manifest.ts';
import { CLUSTER_TAG } from '../../lambdas/model/spec.ts';
import type { ArchiveSpec } from '../../lambdas/model/spec.ts';
import type { Instance } from '../../lambdas/model/view.ts';
import { FakeClock, aStatus, answered } from '../fakes/index.ts';
import { GALERA, base, binlog, data, gtid } from '../unit/archive/listing.ts';
import { World } from './recovery-world.ts';

export const ARCHIVE: ArchiveSpec = {
  bucket: 'rejoin-archive',
  rpoSeconds: 10,
  retentionDays: 35,
  baseBackupSeconds: 86_400,
};

const ok = (value: object): CommandState => ({ kind: 'succeeded', output: JSON.stringify(value) });

export class RestoreWorld extends World {
  /** What the restore script did, in order of the commands. */
  readonly asked: { readonly instance: string; readonly parameters: Readonly<Record<string, string>> }[] = [];
  asksUntilDone = 3;
  answer: Readonly<Record<string, unknown>> = {};
  readonly archive = { bucket: this.cloud.bucket, bucketName: 'rejoin-archive', leases: this.cloud.leases };

  constructor(startMs: number) {
    super({ archive: ARCHIVE }, new FakeClock(startMs));
    for (const { key } of [
      ...base('g1', 10, gtid('0-1-100')),
      binlog('0-1-100', '0-1-150', 20),
      binlog('0-1-150', '0-1-180', 30),
    ]) {
      this.aws.objects.set(key, this.#body(key));
    }
    this.aws.scripts.set('galera-restore', (instance, parameters) => {
      this.asked.push({ instance, parameters });
      return this.fails('galera-restore', instance, parameters) ?? this.#restore(instance, parameters);
    });
  }

  live(cluster: string): readonly Instance[] {
    return [...this.aws.instances.values()].filter(
      (i) => i.tags[CLUSTER_TAG] === cluster && (i.state === 'running' || i.state === 'pending'),
    );
  }

  #body(key: string): Uint8Array {
    if (parseKey(key)?.object.kind !== 'manifest') return Buffer.from('12345');
    const manifest: Manifest = {
      ...{ version: 1, ...GALERA, engine: 'galera', id: 'g1', data: data('g1', GALERA).key, takenOn: 'i-1' },
      ...{ engineVersion: '10.11.14-MariaDB', beganAt: '', endedAt: '', start: {}, end: {}, rawBytes: 9 },
      ...{ storedBytes: 5, sha256: 'a'.repeat(64), parts: [{ bytes: 5, sha256: 'a'.repeat(64) }] },
    };
    return Buffer.from(JSON.stringify(manifest));
  }

  /** As far as the plan's end, unless the target is a GTID. */
  #restore(instance: string, { Plan = '' }: Readonly<Record<string, string>>): CommandState {
    if (this.asked.length <= this.asksUntilDone) return ok({ state: 'running', phase: 'download' });
    const plan = Buffer.from(this.aws.objects.get(Plan) ?? []).toString();
    const word = (name: string): string => new RegExp(`^${name}\\t(.*)$`, 'm').exec(plan)?.[1] ?? '';
    const [kind, value = ''] = word('target').split('\t');
    this.says(instance, (atMs) => answered(aStatus({ nodeName: instance, clusterSize: 1 }), atMs));
    return ok({
      state: 'restored',
      restoredTo: kind === 'gtid' ? value : word('end'),
      lastTransactionAt: null,
      durationMs: 9000,
      downloadMs: 4000,
      replayMs: 5000,
      ...this.answer,
    });
  }
}
