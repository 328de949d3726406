import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keyOf } from '../../lambdas/model/archive/keys.ts';
import { processesOf } from '../../rehearsal/cloud/hosts-processes.ts';
import { ended } from '../support/archive/ended.ts';
import type { Log } from '../support/archive/binlogs.ts';
import { asAnotherNode, endOf, logsOf, storeLogs } from '../support/archive/binlogs.ts';
import { compress, sha256, storePlan } from '../support/archive/plans.ts';
import { startS3 } from '../support/archive/s3.ts';
import type { S3 } from '../support/archive/s3.ts';
import { eventually, makeHosts, must, startCluster, status } from '../support/galera/hosts.ts';
import type { Host, HostSet, ScriptResult } from '../support/galera/hosts.ts';

const UPLOAD = 'VXBsb2Fk.1';
const PART_BYTES = '5242880';

/** Half a second earlier: time stamps in the log are whole seconds. */
const justBefore = (time: string): string => new Date(Date.parse(time) - 500).toISOString();

interface Mark {
  readonly content: string;
  readonly gtid: string;
  /** A whole second, after all that is in and before all that follows. */
  readonly time: string;
}

// One story: a node is backed up, its cluster writes on; then the cluster's past is made anew, moment by moment.
describe('MariaDB from the archive', () => {
  let s3: S3;
  let set: HostSet;
  let empty: HostSet;
  let [a, r]: Host[] = [];
  let base: string;
  let backup: Record<string, unknown>;
  let place: { readonly cluster: string; readonly history: string };
  const marks: Record<string, Mark> = {};
  let logs: readonly Log[] = [];
  let lines: readonly string[] = [];
  let looked: Record<string, unknown> = {};
  let end = '';

  const host = (h: Host | undefined): Host => h as Host;
  const ask = (
    h: Host | undefined,
    name: 'backup' | 'restore',
    parameters: Readonly<Record<string, string>>,
  ): Promise<ScriptResult> =>
    host(h).script(
      name,
      { BUCKET: s3.bucket, ...parameters },
      { ...s3.env, REJOIN_WATCH_SECONDS: '10', REJOIN_S3_ATTEMPTS: '3' },
    );
  const finish = (
    what: 'backup' | 'restore',
    h: Host | undefined,
    parameters: Readonly<Record<string, string>>,
  ): Promise<ScriptResult> => ended(`${what} on ${host(h).id}`, () => ask(h, what, parameters));
  const backUp = (upload = UPLOAD): Promise<ScriptResult> =>
    finish('backup', a, { KEY: base, UPLOAD_ID: upload, PART_BYTES });
  const restore = (key: string): Promise<ScriptResult> => finish('restore', r, { PLAN: key });
  const content = async (h: Host | undefined): Promise<string> => {
    const tables = await host(h).sql(
      "SELECT group_concat(table_name ORDER BY 1) FROM information_schema.tables WHERE table_schema = 'app'",
    );
    const sums = tables === 'NULL' ? '' : await host(h).sql(`USE app; CHECKSUM TABLE ${tables}`);
    return `${sums}\n${await host(h).sql('SELECT group_concat(v ORDER BY id) FROM app.t')}`;
  };
  const write = (sql: string): Promise<string> => host(a).sql(`USE app; ${sql}`);
  const mark = async (name: string): Promise<void> => {
    const gtid = await host(a).sql('SELECT @@gtid_binlog_pos');
    const found = await content(a);
    // What follows has a later time stamp: they are whole seconds.
    const before = Math.floor(Date.now() / 1000);
    const after = await eventually('the next second', 2, async () =>
      Promise.resolve(Math.floor(Date.now() / 1000) > before ? before + 1 : undefined),
    );
    marks[name] = { gtid, content: found, time: new Date(after * 1000).toISOString() };
  };

  beforeAll(async () => {
    s3 = await startS3();
    set = await makeHosts({ octet: 206, count: 1 });
    empty = await makeHosts({ octet: 206, third: 1, count: 1, filled: false });
    [a, r] = [...set.hosts, ...empty.hosts];
    await startCluster(set.hosts);
    await host(a).sql('CREATE DATABASE IF NOT EXISTS app');
    await write('CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, v varchar(40), at timestamp(6) DEFAULT now(6))');
    await write('CREATE TABLE big AS SELECT seq, sha2(seq, 512) AS x FROM seq_1_to_60000');
    await write("INSERT INTO t (v) VALUES ('in the base')");
    place = { cluster: 'orders', history: await status(host(a), 'wsrep_cluster_state_uuid') };
    base = keyOf(place, { kind: 'base', id: '20261128T140000Z' });
  });
  afterAll(async () => {
    await set.dispose();
    await empty.dispose();
    await s3.close();
  });
  beforeEach(() => {
    s3.fault = () => null;
  });

  it('backs up a node, piece by piece, and tells what the manifest says', async () => {
    s3.parts.set(UPLOAD, new Map());
    const gtid = await host(a).sql('SELECT @@gtid_binlog_pos');
    const result = await backUp();
    expect(result.code, result.stderr).toBe(0);
    backup = result.json ?? {};
    const stored = s3.complete(base, UPLOAD);
    expect(backup).toMatchObject({
      state: 'done',
      storedBytes: stored.length,
      sha256: sha256(stored),
      engineVersion: expect.stringMatching(/^10\.11\.\d+-MariaDB/) as string,
      history: place.history,
      start: { gtid },
      end: { gtid },
      seqno: Number(await status(host(a), 'wsrep_last_committed')),
    });
    expect(Number(backup['parts'])).toBeGreaterThan(1);
    expect(Number(backup['rawBytes'])).toBeGreaterThan(stored.length);
    expect(existsSync(join(host(a).volume, '.rejoin-backup'))).toBe(false);
    expect((await backUp()).json, 'asked once more').toEqual(backup);
  });

  it('writes on', async () => {
    await mark('base');
    await write("INSERT INTO t (v) VALUES ('one')");
    await mark('one');
    await host(a).sql('FLUSH BINARY LOGS');
    await write("SET time_zone = '+05:00'; INSERT INTO t (v) VALUES ('elsewhere')");
    await write(
      'BEGIN; INSERT INTO big SELECT seq + 100000, uuid() FROM seq_1_to_20000; UPDATE t SET v = upper(v); COMMIT',
    );
    await mark('two');
    // A look at all tables while they are written to: of one moment, which a restore can bring back.
    let writing = true;
    const writer = (async () => {
      for (let n = 0; writing; n += 1)
        await write(`INSERT INTO t (v) VALUES ('beside ${n}'); UPDATE t SET v = '${n}' WHERE id = 1`);
    })();
    looked = await must(ended('checksums', () => host(a).script('checksum', { LIVE: 'yes' })));
    writing = false;
    await writer;
    expect(looked).toMatchObject({ state: 'done', tables: 2, position: expect.stringMatching(/^0-1-\d+$/) as string });
    expect(Number(looked['rows'])).toBeGreaterThan(80_000);
    await mark('beside');
    await write('ALTER TABLE t ADD COLUMN w int DEFAULT 7; DROP TABLE big');
    await write("BEGIN; DELETE FROM t WHERE v = 'ONE'; INSERT INTO t (v) VALUES ('three'); COMMIT");
    await mark('three');
    // Not by the group, so of another domain. (Galera knows no XA.)
    await write("SET wsrep_on = OFF; INSERT INTO t (v) VALUES ('of this node alone')");
    await write("INSERT INTO t (v) VALUES ('four')");
    await mark('four');
    const files = (await readdir(host(a).volume)).filter((f) => /^binlog\.\d+$/.test(f)).sort();
    logs = await logsOf(
      files.map((f) => join(host(a).volume, f)),
      '',
    );
    lines = storeLogs(s3, place, logs, 3);
    end = endOf(logs);
    expect(lines.length).toBeGreaterThan(4);
  });

  const plan = (
    id: string,
    target: readonly string[],
    more: { readonly lines?: readonly string[]; readonly end?: string } = {},
  ): string => storePlan(s3, id, { engine: 'galera', base, lines, end, target, ...more });
  /** Another empty host out of the one that has been restored. */
  const again = async (): Promise<void> => {
    await must(host(r).script('stop'));
    await must(host(r).script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
  };

  it.each([
    ['the latest', 'four', () => ['latest']],
    ['a time between two transactions', 'one', () => ['time', marks['one']?.time ?? '']],
    ['a transaction', 'two', () => ['gtid', marks['two']?.gtid ?? '']],
    ['a transaction among others of the same second', null, () => ['gtid', String(looked['position'])]],
    ['a time right before a DROP TABLE', 'beside', () => ['time', justBefore(marks['beside']?.time ?? '')]],
    ['the base itself', 'base', () => ['time', marks['base']?.time ?? '']],
  ] as const)('restores %s', async (what, name, target) => {
    const result = await restore(plan(what.replaceAll(' ', '-'), target()));
    expect(
      result.code,
      `${result.stderr}\n${await host(r)
        .log()
        .catch(() => '')}`,
    ).toBe(0);
    expect(result.json).toMatchObject({
      state: 'restored',
      restoredTo: name === null ? looked['position'] : marks[name]?.gtid,
    });
    if (name === null)
      expect(await must(ended('checksums', () => host(r).script('checksum', { LIVE: 'no' })))).toEqual(looked);
    else expect(await content(r)).toBe(marks[name]?.content);
    expect(await status(host(r), 'wsrep_cluster_status')).toBe('Primary');
    expect(await status(host(r), 'wsrep_cluster_state_uuid')).not.toBe(place.history);
    expect(await host(r).sql('SELECT @@wsrep_cluster_address')).toBe(`gcomm://${host(r).address}`);
    await host(r).sql("INSERT INTO app.t (v) VALUES ('new life')");
    expect(await readdir(host(r).volume)).not.toContain('.rejoin-restore');
    await again();
  });

  /** Stores `key` with one byte changed, and gives back the whole object afterwards. */
  const damaged = async <T>(key: string, at: number, act: () => Promise<T>): Promise<T> => {
    const whole = s3.objects.get(key) ?? Buffer.alloc(0);
    const wrong = Buffer.from(whole);
    wrong[at] = (wrong[at] ?? 0) ^ 1;
    s3.objects.set(key, wrong);
    try {
      return await act();
    } finally {
      s3.objects.set(key, whole);
    }
  };
  const nothingIsThere = async (): Promise<void> => {
    expect(await processesOf([host(r).dir])).toEqual([]);
    expect((await readdir(host(r).volume)).filter((f) => f !== '.rejoin-aside')).toEqual([]);
  };

  it('restores from a copy of the bucket that has another name, when there is no other', async () => {
    const key = plan('copied', ['latest']);
    const bucket = s3.bucket;
    s3.bucket = 'copied-elsewhere';
    try {
      const result = await restore(key);
      expect(result.code, result.stderr).toBe(0);
    } finally {
      s3.bucket = bucket;
    }
    expect(await content(r)).toBe(marks['four']?.content);
    await again();
  });

  it('refuses a damaged base backup, names the part, and starts nothing', async () => {
    const key = plan('damaged-base', ['latest']);
    const result = await damaged(base, Number(PART_BYTES) + 7, () => restore(key));
    expect(result.code).toBe(62);
    expect(result.stderr).toMatch(/part 2 of s3 .*data\.zst .* has SHA-256 [0-9a-f]{64}; expected [0-9a-f]{64}/);
    await nothingIsThere();
  });

  it('refuses a damaged log object, and leaves nothing of what it has begun', async () => {
    const object = lines.at(-1)?.split('\t')[1] ?? '';
    const key = plan('damaged-log', ['latest']);
    const result = await damaged(object, (s3.objects.get(object)?.length ?? 0) >> 1, () => restore(key));
    expect(result.code).toBe(62);
    expect(result.stderr).toContain(`the log object s3 ${object} does not unpack`);
    await nothingIsThere();
  });

  it('refuses an object that unpacks and is no log, also when the target is a time', async () => {
    const others = storeLogs(s3, place, asAnotherNode(logs, 20), 4);
    // The first of the second file: where the log is looked into.
    const object = others.find((line) => line.includes('other.000002~'))?.split('\t')[1] ?? '';
    const whole = s3.objects.get(object) ?? Buffer.alloc(0);
    s3.objects.set(object, compress(Buffer.alloc(3)));
    const result = await restore(plan('no-log', ['time', marks['three']?.time ?? ''], { lines: others }));
    s3.objects.set(object, whole);
    expect(result.code, result.stderr).toBe(62);
    expect(result.stderr).toContain('the log did not come here whole');
    await nothingIsThere();
  });

  it('refuses a plan with a hole in its log, and a chain that does not lead to the target', async () => {
    const hole = await restore(plan('a-hole', ['latest'], { lines: lines.filter((_, n) => n !== lines.length - 2) }));
    expect(hole.code).toBe(64);
    expect(hole.stderr).toMatch(/there is a hole between 0-1-/);
    const beyond = await restore(plan('beyond', ['gtid', '0-1-999999']));
    expect(beyond.code).toBe(63);
    expect(beyond.stderr).toMatch(/the log led to 0-1-\d+; expected 0-1-999999/);
    await nothingIsThere();
  });

  it('refuses a data directory that holds something, and a running server, without touching them', async () => {
    await writeFile(join(host(r).volume, 'precious'), 'data');
    const result = await restore(plan('occupied', ['latest']));
    expect(result.code).toBe(54);
    expect(result.stderr).toMatch(/is not empty \(precious \)/);
    expect(await readFile(join(host(r).volume, 'precious'), 'utf8')).toBe('data');
    await must(host(r).script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    const running = await finish('restore', a, { PLAN: plan('running', ['latest']) });
    expect(running.code).toBe(12);
    expect(await content(a)).toBe(marks['four']?.content);
  });

  const places = (line: string): number => Number(/\t0-1-(\d+)[^\t]*$/.exec(line)?.[1]);
  const inOrder = (...all: readonly (readonly string[])[]): readonly string[] =>
    all.flat().sort((x, y) => places(x) - places(y));

  // Of one node, or of some by turns. The base lies within a file of theirs; files begin, and domains end, anywhere.
  it.each<[string, () => readonly string[], readonly string[]]>([
    ['another node’s log', () => storeLogs(s3, place, asAnotherNode(logs, 20), 4), ['latest']],
    ['objects of one transaction', () => storeLogs(s3, place, asAnotherNode(logs, 14), 1), ['gtid']],
    ['two nodes’ logs', () => inOrder(lines, storeLogs(s3, place, asAnotherNode(logs, 19), 5)), ['latest', 'time']],
    ['three', () => inOrder(...[2, 3, 5].map((n) => storeLogs(s3, place, asAnotherNode(logs, 12 + n), n))), ['gtid']],
  ])('restores from %s, each transaction once', async (_, log, targets) => {
    for (const target of targets) {
      const name = { latest: 'four', time: 'three', gtid: 'two' }[target] ?? '';
      const value = target === 'latest' ? [] : [marks[name]?.[target as 'time' | 'gtid'] ?? ''];
      const result = await restore(plan(`of-others-${target}`, [target, ...value], { lines: log() }));
      expect(result.code, result.stderr).toBe(0);
      expect(await content(r), target).toBe(marks[name]?.content);
      await again();
    }
  });

  it('takes each transaction once where objects overlap, and begins anew after it was killed', async () => {
    const mixed = inOrder(lines, storeLogs(s3, place, logs, 7));
    const key = plan('killed', ['time', marks['four']?.time ?? ''], { lines: mixed });
    let hold = true;
    const last = mixed.at(-1)?.split('\t')[1]?.replaceAll(',', '%2C') ?? '';
    s3.fault = (_, path) => (hold && path.endsWith(last) ? 503 : null);
    await eventually('replay', 30, async () => {
      const patient = { ...s3.env, REJOIN_WATCH_SECONDS: '0', REJOIN_S3_ATTEMPTS: '9' };
      const { json } = await host(r).script('restore', { BUCKET: s3.bucket, PLAN: key }, patient);
      return json?.['phase'] === 'replay' ? true : undefined;
    });
    process.kill(Number((await readFile(join(host(r).dir, 'run', 'restore', 'pid'), 'utf8')).split(' ')[0]), 'SIGKILL');
    hold = false;
    const result = await restore(key);
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toMatch(/has died without a word; beginning anew/);
    expect(await content(r)).toBe(marks['four']?.content);
  });
});
