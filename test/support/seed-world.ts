/** A PostgreSQL cluster in memory with an archive that has all of its log, for replacements that are seeded from it. */
import type { ArchivePlace } from '../../lambdas/model/archive/keys.ts';
import { keyOf, parseKey } from '../../lambdas/model/archive/keys.ts';
import type { Manifest } from '../../lambdas/model/archive/manifest.ts';
import type { Instance } from '../../lambdas/model/view.ts';
import { replacing } from '../../lambdas/replace/steps.ts';
import { replaceDefinition } from '../../lib/workflows/replace.ts';
import type { FakePostgres } from '../fakes/postgres.ts';
import { POSTGRES } from './postgres-side.ts';
import type { Run } from './asl.ts';
import { World } from './recovery-world.ts';
import { at, base, data, wal } from '../unit/archive/listing.ts';
import { ARCHIVE } from './restore-world.ts';

const definition = replaceDefinition({ functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:replace' });
export const INCIDENT = 'orders-lost-e1';
export const SYSTEM = '7300000000000000001';

export class SeedWorld extends World {
  readonly pg: FakePostgres;
  readonly place: ArchivePlace = { cluster: 'orders', history: SYSTEM };

  constructor() {
    super({ engine: POSTGRES, archive: ARCHIVE });
    if (this.postgres === null) throw new Error('the world has no PostgreSQL');
    this.pg = this.postgres.fake;
    this.pg.write();
    this.archives();
  }

  /** What a base backup and the shipper store; `end`: how far, unless all of the primary's log. */
  archives(end = this.pg.status(this.node(0).id).lsn, place = this.place): void {
    const log = { kind: 'wal', timeline: 1, start: '0/3000000', end, coveredMs: 0 } as const;
    const objects = [...base('b1', 10, at(1, 32), at(1, 33), place), wal(1, 32, 48, 20, place)];
    for (const { key } of objects) this.aws.objects.set(key, this.#body(key, place));
    this.aws.objects.set(keyOf(place, log), Buffer.from('log'));
  }

  #body(key: string, place: ArchivePlace): Uint8Array {
    if (parseKey(key)?.object.kind !== 'manifest') return Buffer.from('12345');
    const manifest: Manifest = {
      ...{ version: 1, ...place, engine: 'postgres', id: 'b1', data: data('b1', place).key, takenOn: 'i-1' },
      ...{ engineVersion: '15.18', beganAt: '', endedAt: '', start: {}, end: {}, rawBytes: 9 },
      ...{ storedBytes: 5, sha256: 'a'.repeat(64), parts: [{ bytes: 5, sha256: 'a'.repeat(64) }] },
    };
    return Buffer.from(JSON.stringify(manifest));
  }

  /** EC2 ends it, and its volume with it. */
  losesAll({ id, volumes }: Instance): void {
    this.terminates(id);
    for (const v of volumes) this.aws.volumes.delete(v.volumeId);
  }

  replace(node: Instance, mode: 'replace' | 'rejoin' = 'replace'): Promise<Run> {
    const archive = { bucket: this.cloud.bucket, bucketName: 'rejoin-archive' };
    const input = { cluster: 'orders', incident: INCIDENT, mode, node: node.id, reason: 'the node is lost' };
    return this.run(definition, replacing(archive), input);
  }

  started(document: string): readonly (readonly unknown[])[] {
    return this.aws.callsOf('HostCommands.start').flatMap((c) => (c.args[1] === document ? [c.args] : []));
  }
}
