import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { formatGtidPosition, parseGtidPosition } from '../../lambdas/model/archive/gtid.ts';
import { gtidsIn, reassemble } from '../support/galera/binlog.ts';
import {
  asMariadbBinlogReadsIt,
  beginGo,
  replayed,
  type Shipped,
  shippingPlace,
  type ShippingPlace,
  shippingPorts,
  type ShippingOptions,
} from '../support/galera/shipping.ts';
import { ACCOUNTS, eventually, type SingleServer, singleServer } from '../support/galera/single.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** All that the server logged, in order. */
const logged = async (server: SingleServer): Promise<readonly string[]> =>
  (await server.binlogs()).flatMap((name) => gtidsIn(readFileSync(join(server.dataDir, name))));

describe("the shipper of a single server's binlog", () => {
  let server: SingleServer;
  let place: ShippingPlace;
  const options = (more: Partial<ShippingOptions> = {}): ShippingOptions => ({ nodes: [server], ...more });
  const drain = (more: Partial<ShippingOptions> = {}) =>
    beginGo(shippingPorts(place.folder, options(more)), 'drain', options(more)).end;
  const closedFilesAre = async (objects: readonly Shipped[]): Promise<void> => {
    const files = reassemble(objects);
    const names = (await server.binlogs()).slice(0, -1);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names)
      expect([name, sha256(files.get(name) ?? Buffer.alloc(0))]).toEqual([
        name,
        sha256(readFileSync(join(server.dataDir, name))),
      ]);
  };

  /** A file that a dump still reads is not purged: the server takes a moment to see that its replica is gone. */
  const purgeTo = (name = ''): Promise<true> =>
    eventually(`files before ${name} are gone`, 10, async () => {
      await server.sql(`PURGE BINARY LOGS TO '${name}'`);
      return (await server.binlogs())[0] === name ? true : undefined;
    });

  beforeAll(async () => {
    server = await singleServer('127.231.1.1');
    await server.sql('CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200), b LONGBLOB)');
  });
  afterAll(() => server.dispose());
  beforeEach(() => (place = shippingPlace()));
  afterEach(() => place.dispose());

  it('gives back closed files byte for byte, with checksums and without, over a rotation, each piece readable by itself', async () => {
    const going = beginGo(shippingPorts(place.folder, options()), 'stream', options());
    await server.sql(`INSERT INTO app.t (v) VALUES ('a'), ('b'); FLUSH BINARY LOGS; INSERT INTO app.t (v) VALUES ('c');
      SET GLOBAL binlog_checksum = NONE; INSERT INTO app.t (v) VALUES ('without');
      CREATE TABLE app.c AS SELECT * FROM app.t; ALTER TABLE app.c ADD w INT; DROP TABLE app.c;
      SET GLOBAL binlog_checksum = CRC32;
      XA START 'x'; INSERT INTO app.t (v) VALUES ('xa'); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'`);
    const all = await logged(server);
    await eventually('all of it is in the bucket', 10, async () =>
      replayed(await place.objects()).length === all.length ? true : undefined,
    );
    await server.sql('FLUSH BINARY LOGS');
    await going.stop();
    const objects = await place.objects();
    expect(replayed(objects)).toEqual(all);
    await closedFilesAre(objects);
    for (const { key, object, bytes } of objects) {
      const text = await asMariadbBinlogReadsIt(bytes);
      expect([key, [...text.matchAll(/GTID (\d+-\d+-\d+)/g)].map(([, gtid]) => gtid)]).toEqual([key, gtidsIn(bytes)]);
      expect(object.source.startsWith(`${server.id}~binlog.`)).toBe(true);
    }
    expect(objects.map(({ bytes }) => gtidsIn(bytes).length).reduce((a, b) => a + b)).toBe(all.length);
  });

  it('goes on where the bucket ends, and says in names how far the server is covered', async () => {
    const before = Date.now();
    expect(await drain()).toEqual({ kind: 'drained' });
    await server.sql(`INSERT INTO app.t (v) VALUES ('later')`);
    expect(await drain()).toEqual({ kind: 'drained' });
    const objects = await place.objects();
    expect(replayed(objects)).toEqual(await logged(server));
    expect(objects.flatMap(({ bytes }) => gtidsIn(bytes)).length).toBe((await logged(server)).length);
    const covered = Math.max(...objects.map(({ object }) => object.coveredMs));
    expect(covered).toBeGreaterThan(before - 1100);
    expect(covered).toBeLessThan(Date.now() - 900);
    // Nothing new: what vouches for the time since is an object without transactions.
    expect(await drain()).toEqual({ kind: 'drained' });
    const idle = (await place.objects()).filter((o) => !objects.some(({ key }) => key === o.key));
    expect(idle).toHaveLength(1);
    expect(idle[0]?.object.coveredMs).toBeGreaterThan(covered);
    expect(gtidsIn(idle[0]?.bytes ?? Buffer.alloc(0))).toEqual([]);
  });

  it('is covered a second behind the clock while it streams and nothing is written', async () => {
    const going = beginGo(shippingPorts(place.folder, options()), 'stream', options());
    await eventually('covered within three seconds', 10, async () =>
      going.coveredMs() > Date.now() - 3000 ? true : undefined,
    );
    const seen = going.coveredMs();
    await eventually('covered further', 5, async () => (going.coveredMs() > seen + 1000 ? true : undefined));
    await going.stop();
  });

  it('ships a transaction larger than a piece as one of its own, in memory that does not grow with it', async () => {
    await server.sql(`INSERT INTO app.t (b) SELECT REPEAT(UUID(), 30000) FROM app.seq_1_to_80`);
    await server.sql(`INSERT INTO app.t (v) VALUES ('after it')`);
    await server.sql('FLUSH BINARY LOGS');
    const small = { pieceBytes: 8 * 2 ** 20 };
    global.gc?.();
    const before = process.memoryUsage().rss;
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
    await drain(small);
    clearInterval(timer);
    const objects = await place.objects();
    const largest = objects.reduce((a, b) => (a.bytes.length > b.bytes.length ? a : b));
    expect(largest.bytes.length).toBeGreaterThan(80 * 2 ** 20);
    expect(gtidsIn(largest.bytes)).toHaveLength(1);
    expect(most - before).toBeLessThan(200 * 2 ** 20);
    expect(replayed(objects)).toEqual(await logged(server));
    await closedFilesAre(objects);
    await asMariadbBinlogReadsIt(largest.bytes);
  });

  it('stores the archive’s very first piece alone, and later ones side by side', async () => {
    const small = { pieceBytes: 1000 };
    /** How many puts begin while the first one hangs. */
    const beside = async (): Promise<number> => {
      for (let n = 0; n < 6; n += 1) await server.sql(`INSERT INTO app.t (v, b) VALUES ('${n}', repeat('x', 2000))`);
      const ports = shippingPorts(place.folder, options());
      const put = ports.bucket.put.bind(ports.bucket);
      let begun = 0;
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      ports.bucket.put = async (key, body) => {
        begun += 1;
        if (begun === 1) await held;
        return put(key, body);
      };
      const { end } = beginGo(ports, 'drain', options(small));
      await eventually('a put', 10, async () => Promise.resolve(begun > 0 ? true : undefined));
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const count = begun;
      release();
      await end;
      return count;
    };
    expect(await beside()).toBe(1);
    expect(await beside()).toBeGreaterThan(2);
    expect(replayed(await place.objects())).toEqual(await logged(server));
  });

  it('ships an XA transaction that is prepared in one piece and committed in another', async () => {
    await server.sql(`XA START 'y'; INSERT INTO app.t (v) VALUES ('xa'); XA END 'y'; XA PREPARE 'y'`);
    await server.sql(`INSERT INTO app.t (v) VALUES ('between')`);
    await drain();
    const prepared = new Set((await place.objects()).map(({ key }) => key));
    await server.sql(`XA COMMIT 'y'; FLUSH BINARY LOGS`);
    await drain();
    const objects = await place.objects();
    expect(replayed(objects)).toEqual(await logged(server));
    await closedFilesAre(objects);
    const read = async (isIn: (key: string) => boolean): Promise<string> =>
      (
        await Promise.all(objects.filter(({ key }) => isIn(key)).map(({ bytes }) => asMariadbBinlogReadsIt(bytes)))
      ).join();
    const [before, after] = [await read((key) => prepared.has(key)), await read((key) => !prepared.has(key))];
    expect(before).toMatch(/XA PREPARE X'79'/);
    expect(before).not.toMatch(/XA COMMIT X'79'/);
    expect(after).toMatch(/XA COMMIT X'79'/);
  });

  it('says what is missing when the account may not read the log', async () => {
    await server.sql(`REVOKE REPLICATION SLAVE ON *.* FROM '${ACCOUNTS.probe.user}'@'%'`);
    await expect(drain()).rejects.toThrow(/1045 Access denied .*expected an account with REPLICATION SLAVE/);
    await server.sql(`GRANT REPLICATION SLAVE ON *.* TO '${ACCOUNTS.probe.user}'@'%'`);
  });

  it('begins at the oldest file that there is, and shows a hole when log was purged that is not in the archive', async () => {
    await server.sql('FLUSH BINARY LOGS');
    const [, second] = await server.binlogs();
    await purgeTo(second);
    await drain();
    const [first] = await place.objects();
    const begin = first?.object.after ?? new Map();
    expect(begin.size).toBe(1);
    expect(replayed(await place.objects(), begin)).toEqual(await logged(server));

    await server.sql(`INSERT INTO app.t (v) VALUES ('lost'); FLUSH BINARY LOGS; INSERT INTO app.t (v) VALUES ('kept')`);
    const lost = (await logged(server)).at(-2);
    await purgeTo((await server.binlogs()).at(-1));
    const ports = shippingPorts(place.folder, options());
    await beginGo(ports, 'drain', options()).end;
    expect(ports.metrics.total('ArchiveGap')).toBe(1);
    expect(ports.log.lines.filter((l) => l.level === 'error').map((l) => l.message)[0]).toMatch(
      /lost to the archive.*base backup/,
    );
    const objects = await place.objects();
    expect(() => replayed(objects, begin)).toThrow(/a hole/);
    expect(objects.flatMap(({ bytes }) => gtidsIn(bytes))).not.toContain(lost);
    const last = objects.at(-1);
    expect(formatGtidPosition(last?.object.after ?? new Map())).toBe(lost);
    expect(gtidsIn(last?.bytes ?? Buffer.alloc(0))).toEqual(await logged(server));
    // The hole is there for good; the next one does not tell it again.
    const next = shippingPorts(place.folder, options());
    await beginGo(next, 'drain', options()).end;
    expect(next.metrics.total('ArchiveGap')).toBe(0);
    expect(parseGtidPosition(lost ?? '').size).toBe(1);
  });
});
