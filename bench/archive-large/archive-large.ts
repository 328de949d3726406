/**
 * `npm run bench -- archive-large`: one transaction larger than a shipper's memory, shipped whole by the deployed bundle. MariaDB's:
 * it becomes one object, which is uploaded while it is read. (PostgreSQL's log is cut at segments whatever the transaction.)
 */
import { createHash } from 'node:crypto';
import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { parseSource } from '../../lambdas/model/archive/binlog-source.ts';
import { parseKey } from '../../lambdas/model/archive/keys.ts';
import { Cleanup } from '../../rehearsal/cleanup.ts';
import { startMariaDb } from '../archive/mariadb.ts';
import { startPlane } from '../archive/plane.ts';
import { makeWorld } from '../archive/world.ts';

export interface ArchiveLargeOptions {
  readonly megabytes: number;
  readonly reportFile: string | null;
}

/** What a shipper has (lib/capabilities/plane-function.ts). */
const MEMORY_BYTES = 512 * 2 ** 20;
/** Of a row's random bytes, the most that RANDOM_BYTES gives: what is stored is as much as what is read. */
const ROW = 1024;
const [CLUSTER, BUCKET, WITHIN_SECONDS] = ['shop', 'large', 900];

/** @throws Error naming the option, its value and what is accepted. */
export function archiveLargeOptions(raw: { sizeMb: string; report?: string }): ArchiveLargeOptions {
  const megabytes = Number(raw.sizeMb);
  if (!Number.isInteger(megabytes) || megabytes < 1)
    throw new Error(`--size-mb is ${JSON.stringify(raw.sizeMb)}; give a whole number of at least 1`);
  return { megabytes, reportFile: raw.report ?? null };
}

/** True when everything held. */
export async function archiveLarge({ megabytes, reportFile }: ArchiveLargeOptions): Promise<boolean> {
  const cleanup = new Cleanup();
  try {
    const world = await makeWorld(cleanup);
    const folder = join(world.dir, 'mariadb');
    await mkdir(folder);
    const server = await startMariaDb(folder, world.addresses.host(3, 1), cleanup);
    const plane = await startPlane(world);
    await plane.declare({
      ...{ name: CLUSTER, engine: { kind: 'galera', port: server.port } },
      ...{ address: server.address, ...server.account },
    });
    world.say(`one transaction of ${megabytes} MB`);
    await server.sql('CREATE TABLE app.big (b BLOB)');
    await server.sql(
      `INSERT INTO app.big SELECT RANDOM_BYTES(${ROW}) FROM app.seq_1_to_${Math.ceil((megabytes * 1e6) / ROW)}`,
    );
    await server.sql('FLUSH BINARY LOGS');
    await world.s3.makeBucket(BUCKET);
    const usage = await world.runner.run(plane.invocation('ship-galera', CLUSTER, BUCKET), WITHIN_SECONDS);
    const objects = [...(await world.s3.keys(BUCKET))].sort((a, b) => b.bytes - a.bytes);
    const [largest] = objects;
    if (largest === undefined) throw new Error('nothing was shipped');
    const compared = await compare(largest.key, await world.s3.read(BUCKET, largest.key), join(folder, 'data'));
    const faults = [
      ...(compared.ours === compared.theirs
        ? []
        : [`the object is not what the server has: ${JSON.stringify(compared)}`]),
      ...(compared.bytes >= megabytes * 1e6
        ? []
        : [`the largest object holds ${compared.bytes} bytes; expected ${megabytes} MB`]),
      ...(usage.peakRssBytes <= MEMORY_BYTES
        ? []
        : [`the shipper had ${usage.peakRssBytes} bytes; expected at most ${MEMORY_BYTES}`]),
    ];
    const report = {
      ...{ megabytes, logBytes: compared.bytes, storedBytes: largest.bytes, objects: objects.length },
      ...{
        peakRssBytes: usage.peakRssBytes,
        seconds: usage.seconds,
        MBps: compared.bytes / 1e6 / usage.seconds,
        faults,
      },
    };
    console.log(JSON.stringify(report, null, 2));
    if (reportFile !== null) await writeFile(reportFile, `${JSON.stringify(report, null, 2)}\n`);
    return faults.length === 0;
  } finally {
    for (const trouble of await cleanup.run()) console.error(`clean-up: ${trouble}`);
  }
}

/** SHA-256 of the object's log, and of as many bytes at its place in the server's file. */
async function compare(key: string, body: Uint8Array, dataDir: string) {
  const object = parseKey(key)?.object;
  if (object?.kind !== 'binlog') throw new Error(`${key} is no key of a binlog object`);
  const { file, offset } = parseSource(object.source);
  const path = join(dataDir, file);
  const { size } = await stat(path);
  const handle = await open(path);
  try {
    // An object that does not begin where its file begins has the file's head in front: magic number and FORMAT_DESCRIPTION_EVENT.
    const { buffer: first } = await handle.read(Buffer.alloc(100), 0, 100, 0);
    const head = offset === 0 ? 0 : 4 + first.readUInt32LE(4 + 9);
    const [ours, theirs] = [createHash('sha256'), createHash('sha256')];
    let seen = 0;
    const at = (): number => offset - head + seen;
    for await (const chunk of Readable.from([body]).pipe(createZstdDecompress()) as AsyncIterable<Buffer>) {
      const own = chunk.subarray(Math.max(0, head - seen));
      seen += chunk.length;
      ours.update(own);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(own.length), 0, own.length, at() - own.length);
      theirs.update(buffer.subarray(0, bytesRead));
    }
    return { bytes: seen - head, file, size, offset, ours: ours.digest('hex'), theirs: theirs.digest('hex') };
  } finally {
    await handle.close();
  }
}
