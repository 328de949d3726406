import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { StoredObject } from '../../../lambdas/cloud/ports.ts';
import type { World } from '../world.ts';
import { aCluster } from '../world.ts';

const MIB = 2 ** 20;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const sha256 = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex');

const all = async (objects: AsyncIterable<StoredObject>): Promise<readonly StoredObject[]> => {
  const found: StoredObject[] = [];
  for await (const object of objects) found.push(object);
  return found;
};

export function archiveContract(world: () => World): void {
  describe('ArchiveBucket', () => bucketContract(world));
  describe('Leases', () => leasesContract(world));
}

function bucketContract(world: () => World): void {
  const bucket = () => world().bucket;

  it('keeps what was put, and answers it whole and in parts', async () => {
    const key = `${aCluster()}/7/wal/one.zst`;
    const body = randomBytes(3 * MIB + 7);
    expect(await bucket().put(key, body)).toBe('stored');
    expect(sha256((await bucket().get(key)) ?? bytes(''))).toBe(sha256(body));
    expect(Buffer.from((await bucket().get(key, { from: 2, to: 5 })) ?? [])).toEqual(body.subarray(2, 5));
  });

  it('has nothing under a key that nobody wrote', async () => {
    expect(await bucket().get(`${aCluster()}/nothing`)).toBeNull();
  });

  it('overwrites nothing: the second write of a key is answered, and what was there stays', async () => {
    const key = `${aCluster()}/7/wal/one.zst`;
    await bucket().put(key, bytes('first'));
    expect(await bucket().put(key, bytes('second'))).toBe('exists');
    expect(await bucket().get(key)).toEqual(bytes('first'));
  });

  it('of two who write a key at once one stores', async () => {
    const key = `${aCluster()}/7/wal/one.zst`;
    const both = await Promise.all(['a', 'b'].map((text) => bucket().put(key, bytes(text))));
    expect([...both].sort()).toEqual(['exists', 'stored']);
    expect(await bucket().get(key)).toEqual(bytes(both[0] === 'stored' ? 'a' : 'b'));
  });

  it('lists below a prefix in the order of keys, with sizes, and from a key on', async () => {
    const c = aCluster();
    for (const name of ['b', 'a/2', 'a/10', 'a/1', 'c']) await bucket().put(`${c}/${name}`, bytes(name));
    expect(await all(bucket().list(`${c}/`))).toEqual(
      ['a/1', 'a/10', 'a/2', 'b', 'c'].map((name) => ({ key: `${c}/${name}`, sizeBytes: name.length })),
    );
    expect((await all(bucket().list(`${c}/`, { after: `${c}/a/10` }))).map((o) => o.key)).toEqual(
      ['a/2', 'b', 'c'].map((name) => `${c}/${name}`),
    );
    // What does not exist will do as a place to go on from.
    expect((await all(bucket().list(`${c}/a/`, { after: `${c}/a/11` }))).map((o) => o.key)).toEqual([`${c}/a/2`]);
    expect(await all(bucket().list(`${aCluster()}/`))).toEqual([]);
  });

  it('names the folders of the next level', async () => {
    const c = aCluster();
    for (const key of ['2/wal/x', '1/wal/x', '1/base/y', 'loose']) await bucket().put(`${c}/${key}`, bytes(key));
    expect(await bucket().folders(`${c}/`)).toEqual([`${c}/1/`, `${c}/2/`]);
    expect(await bucket().folders(`${aCluster()}/`)).toEqual([]);
  });

  it('takes a large object in parts, which is there only when it is completed', async () => {
    const key = `${aCluster()}/7/base/b1/data.zst`;
    const bodies = [randomBytes(5 * MIB), randomBytes(5 * MIB + 1), randomBytes(100)];
    const id = await bucket().beginUpload(key);
    // Not in order: several are under way at once.
    await Promise.all([3, 1, 2].map((n) => bucket().uploadPart(key, id, n, bodies[n - 1] ?? bytes(''))));
    expect(await bucket().get(key)).toBeNull();
    const parts = await bucket().parts(key, id);
    expect(parts.map(({ number, sizeBytes }) => ({ number, sizeBytes }))).toEqual(
      bodies.map((body, i) => ({ number: i + 1, sizeBytes: body.length })),
    );
    // S3 lists a part's SHA-256; moto lists none.
    for (const [i, part] of parts.entries()) expect([null, sha256(bodies[i] ?? bytes(''))]).toContain(part.sha256);
    expect(await bucket().completeUpload(key, id, parts)).toBe('stored');
    expect(sha256((await bucket().get(key)) ?? bytes(''))).toBe(sha256(Buffer.concat(bodies)));
  });

  it('a completion may be repeated, because its answer was lost', async () => {
    const key = `${aCluster()}/7/base/b1/data.zst`;
    const id = await bucket().beginUpload(key);
    const parts = [await bucket().uploadPart(key, id, 1, bytes('whole'))];
    expect(await bucket().completeUpload(key, id, parts)).toBe('stored');
    expect(['stored', 'exists']).toContain(await bucket().completeUpload(key, id, parts));
    expect(await bucket().get(key)).toEqual(bytes('whole'));
  });

  it('an upload overwrites nothing either', async () => {
    const key = `${aCluster()}/7/base/b1/data.zst`;
    const id = await bucket().beginUpload(key);
    const parts = [await bucket().uploadPart(key, id, 1, bytes('late'))];
    await bucket().put(key, bytes('first'));
    expect(await bucket().completeUpload(key, id, parts)).toBe('exists');
    expect(await bucket().get(key)).toEqual(bytes('first'));
    await bucket().abortUpload(key, id);
  });

  it('an upload that is ended leaves nothing, and may be ended again', async () => {
    const key = `${aCluster()}/7/base/b1/data.zst`;
    const id = await bucket().beginUpload(key);
    await bucket().uploadPart(key, id, 1, bytes('part'));
    await bucket().abortUpload(key, id);
    await bucket().abortUpload(key, id);
    expect(await bucket().get(key)).toBeNull();
    await expect(bucket().completeUpload(key, id, [])).rejects.toThrow();
    await expect(bucket().parts(key, id)).rejects.toThrow();
  });

  it('removes, and removing what is not there is as good', async () => {
    const c = aCluster();
    for (const name of ['a', 'b', 'keep']) await bucket().put(`${c}/${name}`, bytes(name));
    await bucket().remove([`${c}/a`, `${c}/b`, `${c}/never`]);
    await bucket().remove([]);
    expect((await all(bucket().list(`${c}/`))).map((o) => o.key)).toEqual([`${c}/keep`]);
  });
}

function leasesContract(world: () => World): void {
  const leases = () => world().leases;
  const inMinutes = (minutes: number): number => world().nowMs() + minutes * 60_000;

  it('one holder at a time, who may renew it', async () => {
    const c = aCluster();
    expect(await leases().take(c, 'ship', 'one', inMinutes(1))).toBe(true);
    expect(await leases().take(c, 'ship', 'two', inMinutes(1))).toBe(false);
    expect(await leases().take(c, 'ship', 'one', inMinutes(2))).toBe(true);
    expect(await leases().take(c, 'ship', 'two', inMinutes(1))).toBe(false);
  });

  it('each thing and each cluster has its own', async () => {
    const [c, d] = [aCluster(), aCluster()];
    expect(await leases().take(c, 'ship', 'one', inMinutes(1))).toBe(true);
    expect(await leases().take(c, 'drill', 'two', inMinutes(1))).toBe(true);
    expect(await leases().take(d, 'ship', 'two', inMinutes(1))).toBe(true);
  });

  it('released, it is anybody’s; by who does not hold it, nothing is released', async () => {
    const c = aCluster();
    await leases().take(c, 'ship', 'one', inMinutes(1));
    await leases().release(c, 'ship', 'two');
    expect(await leases().take(c, 'ship', 'two', inMinutes(1))).toBe(false);
    await leases().release(c, 'ship', 'one');
    await leases().release(c, 'ship', 'one');
    expect(await leases().take(c, 'ship', 'two', inMinutes(1))).toBe(true);
  });

  it('run out, it is anybody’s, and its old holder has lost it', async () => {
    const c = aCluster();
    await leases().take(c, 'ship', 'one', inMinutes(1));
    await world().passMinutes(1.5);
    expect(await leases().take(c, 'ship', 'two', inMinutes(1))).toBe(true);
    expect(await leases().take(c, 'ship', 'one', inMinutes(1))).toBe(false);
  });

  it('of many who want it at once one gets it', async () => {
    const c = aCluster();
    const got = await Promise.all(Array.from({ length: 8 }, (_, i) => leases().take(c, 'ship', `h${i}`, inMinutes(1))));
    expect(got.filter(Boolean)).toHaveLength(1);
  });
}
