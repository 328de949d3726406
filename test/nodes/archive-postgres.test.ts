import { readdir, readFile, writeFile } from 'node:fs/promises';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keyOf } from '../../lambdas/model/archive/keys.ts';
import { processesOf } from '../../rehearsal/cloud/hosts-processes.ts';
import { ended } from '../support/archive/ended.ts';
import { bytesOf, segmentStart, sha256, storePlan, storeWal } from '../support/archive/plans.ts';
import { startS3 } from '../support/archive/s3.ts';
import type { S3 } from '../support/archive/s3.ts';
import { eventually, makeHosts, must, promote, sameRows } from './postgres-hosts.ts';
import type { Host, HostSet, ScriptResult } from './postgres-hosts.ts';

const UPLOAD = 'VXBsb2Fk.1';
const PART_BYTES = '5242880';

// One story: a cluster is backed up on its standby, goes on writing, loses its primary; then its past is made anew, moment by moment.
describe('PostgreSQL from the archive', () => {
  let s3: S3;
  let set: HostSet;
  let empty: HostSet;
  let [a, b, r]: Host[] = [];
  let base: string;
  let backup: Record<string, unknown>;
  let place: { readonly cluster: string; readonly history: string };
  /** What the table held, and where the log was, at moments that tests go back to. */
  const marks: Record<string, { readonly rows: string; readonly lsn: string; readonly time: string }> = {};
  let lines: string[] = [];
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
    finish('backup', b, { KEY: base, UPLOAD_ID: upload, PART_BYTES });
  const restore = (key: string): Promise<ScriptResult> => finish('restore', r, { PLAN: key });
  /** What the table holds, and its form. */
  const rows = (h: Host | undefined): Promise<string> =>
    host(h).sql(
      "SELECT string_agg(v, ',' ORDER BY id), (SELECT string_agg(attname, ',') FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0) FROM t",
    );
  const mark = async (h: Host | undefined, name: string): Promise<void> => {
    const [lsn = '', time = ''] = (
      await host(h).sql(
        'SELECT pg_current_wal_lsn(), to_char(clock_timestamp() AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')',
      )
    ).split('\t');
    marks[name] = { rows: await rows(h), lsn, time };
  };

  beforeAll(async () => {
    s3 = await startS3();
    set = await makeHosts({ third: 21, count: 2 });
    empty = await makeHosts({ third: 22, count: 1, filled: false });
    [a, b, r] = [...set.hosts, ...empty.hosts];
    await promote(host(a), [host(b)]);
    await must(host(b).join(host(a)));
    await host(a).sql(
      'CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE TABLE big AS SELECT i, md5(i::text) AS x FROM generate_series(1, 100000) i',
    );
    await host(a).sql("INSERT INTO t (v) VALUES ('in the base')");
    await sameRowsOfT();
    const system = await host(a).sql('SELECT system_identifier FROM pg_control_system()');
    place = { cluster: 'orders', history: system };
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
  const sameRowsOfT = (): Promise<number> => sameRows(host(a), host(b));

  it('backs up a standby, piece by piece, and tells what the manifest says', async () => {
    s3.parts.set(UPLOAD, new Map());
    const result = await backUp();
    expect(result.code, result.stderr).toBe(0);
    backup = result.json ?? {};
    const stored = s3.complete(base, UPLOAD);
    expect(backup).toMatchObject({
      state: 'done',
      storedBytes: stored.length,
      sha256: sha256(stored),
      engineVersion: expect.stringMatching(/^15\.\d+$/) as string,
      history: place.history,
      start: { timeline: 2 },
      end: { timeline: 2 },
    });
    expect(backup['parts']).toBe(s3.parts.get(UPLOAD)?.size);
    expect(Number(backup['parts'])).toBeGreaterThan(1);
    expect(Number(backup['rawBytes'])).toBeGreaterThan(stored.length);
    expect(existsSync(join(host(b).volume, '.rejoin-backup'))).toBe(false);
  });

  it('answers the same when asked once more, without another byte', async () => {
    const before = s3.requests.length;
    expect((await backUp()).json).toEqual(backup);
    expect(s3.requests.length).toBe(before);
  });

  it('writes on, through a failover', async () => {
    const insert = (h: Host | undefined, v: string): Promise<string> =>
      host(h).sql(`INSERT INTO t (v) VALUES ('${v}')`);
    await mark(a, 'base');
    await insert(a, 'one');
    await mark(a, 'one');
    await insert(a, 'between');
    await host(a).sql("BEGIN; INSERT INTO t (v) VALUES ('prepared'); PREPARE TRANSACTION 'p'");
    await mark(a, 'prepared');
    await host(a).sql("COMMIT PREPARED 'p'");
    await mark(a, 'committed');
    await host(a).sql('ALTER TABLE t ADD COLUMN w int DEFAULT 7');
    await host(a).sql('SELECT pg_switch_wal()');
    await host(a).sql('INSERT INTO big SELECT i, md5(i::text) FROM generate_series(1, 250000) i');
    await insert(a, 'two');
    await mark(a, 'two');
    await sameRowsOfT();
    looked = await must(ended('checksums', () => host(b).script('checksum', { LIVE: 'yes' })));
    expect(looked).toMatchObject({ state: 'done', rows: expect.any(Number) as number });
    expect(await host(b).sql('SELECT pg_get_wal_replay_pause_state()')).toBe('not paused');
    expect((await host(a).script('checksum', { LIVE: 'yes' })).code, 'a primary cannot be held').toBe(12);
    await host(a).sql("SELECT pg_create_restore_point('before-drop')");
    await host(a).sql('BEGIN; DELETE FROM t; COMMIT');
    await insert(a, 'three');
    await mark(a, 'three');
    await sameRowsOfT();
    const [from, until] = [
      segmentStart(bytesOf(String((backup['start'] as { lsn: string }).lsn))),
      bytesOf(await host(a).sql('SELECT pg_current_wal_flush_lsn()')),
    ];
    await host(a).kill();
    await host(b).sql('SELECT pg_promote()');
    await insert(b, 'four');
    await mark(b, 'four');
    await insert(b, 'five');
    await mark(b, 'five');
    const history = await readFile(join(host(b).data, 'pg_wal', '00000003.history'), 'utf8');
    const left = bytesOf(/^2\t(\S+)\t/m.exec(history)?.[1] ?? '');
    expect(left).toBeLessThanOrEqual(until);
    const historyKey = keyOf(place, { kind: 'history', timeline: 3 });
    s3.objects.set(historyKey, Buffer.from(history));
    const last = bytesOf(await host(b).sql('SELECT pg_current_wal_flush_lsn()'));
    end = `3/${await host(b).sql('SELECT pg_current_wal_flush_lsn()')}`;
    // The first timeline's log goes on beyond the switch; a piece ends within a record; the last segment is half full.
    const old = await storeWal(s3, place, { pgWal: join(host(a).data, 'pg_wal'), timeline: 2, from, to: until }, [
      from + 1000n,
      left - 13n,
    ]);
    const later = await storeWal(
      s3,
      place,
      { pgWal: join(host(b).data, 'pg_wal'), timeline: 3, from: left, to: last },
      [left + 77n],
    );
    lines = [`history\t3\t${historyKey}`, ...old, ...later];
    expect(old.length).toBeGreaterThan(4);
    await host(b).script('stop');
  });

  const plan = (
    id: string,
    target: readonly string[],
    more: { readonly lines?: readonly string[]; readonly end?: string } = {},
  ): string => storePlan(s3, id, { engine: 'postgres', base, lines, end, target, ...more });
  /** Another empty host out of the one that has been restored. */
  const again = async (): Promise<void> => {
    await must(host(r).script('stop'));
    await must(host(r).script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
  };

  it.each([
    ['the latest', 'five', () => ['latest']],
    ['a time between two transactions', 'one', () => ['time', marks['one']?.time ?? '']],
    ['a time at which a transaction is prepared', 'prepared', () => ['time', marks['prepared']?.time ?? '']],
    [
      'a time after it, right before a change of the table',
      'committed',
      () => ['time', marks['committed']?.time ?? ''],
    ],
    ['a place', 'two', () => ['lsn', String(looked['position'])]],
    ['a named point', 'two', () => ['name', 'before-drop']],
    ['a place on the later timeline', 'four', () => ['lsn', `3/${marks['four']?.lsn}`]],
    ['a time before all that was written after the base', 'base', () => ['time', marks['base']?.time ?? '']],
  ] as const)('restores %s', async (what, name, target) => {
    const result = await restore(plan(what.replaceAll(/\W+/g, '-'), target()));
    expect(
      result.code,
      `${result.stderr}\n${await host(r)
        .log()
        .catch(() => '')}`,
    ).toBe(0);
    expect(await rows(r)).toBe(marks[name]?.rows);
    // What was prepared then still is, to be committed or not by whoever coordinates it.
    expect(await host(r).sql('SELECT count(*) FROM pg_prepared_xacts')).toBe(name === 'prepared' ? '1' : '0');
    const place = String(result.json?.['restoredTo']);
    expect(place).toMatch(name === 'five' || name === 'four' ? /^3\// : /^2\//);
    if (target()[0] === 'lsn') expect(place).toBe(target()[1]);
    if (what === 'a place') {
      const {
        digest,
        tables,
        rows: count,
      } = await must(ended('checksums', () => host(r).script('checksum', { LIVE: 'no' })));
      expect({ digest, tables, rows: count }).toEqual({
        digest: looked['digest'],
        tables: looked['tables'],
        rows: looked['rows'],
      });
    }
    expect(result.json).toMatchObject({
      state: 'restored',
      lastTransactionAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
    });
    await host(r).sql("INSERT INTO t (v) VALUES ('new life')");
    expect(
      await host(r).sql(
        "SELECT current_setting('restore_command') || current_setting('primary_conninfo') || current_setting('synchronous_standby_names')",
      ),
    ).toBe('');
    expect(await host(r).sql('SELECT count(*) FROM pg_replication_slots')).toBe('0');
    expect(await readdir(host(r).volume)).not.toContain('.rejoin-restore');
    // Asked once more it answers the same, and restores nothing.
    expect((await ask(r, 'restore', { PLAN: `restored/restore/${what.replaceAll(/\W+/g, '-')}/plan` })).json).toEqual(
      result.json,
    );
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
    expect(await readdir(host(r).volume)).toEqual(expect.not.arrayContaining(['.rejoin-restore']) as string[]);
    expect(await readdir(host(r).data).catch(() => [])).toEqual([]);
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
    expect(await rows(r)).toBe(marks['five']?.rows);
    await again();
  });

  it('refuses a damaged base backup, names the part, and starts nothing', async () => {
    const key = plan('damaged-base', ['latest']);
    const result = await damaged(base, Number(PART_BYTES) + 7, () => restore(key));
    expect(result.code).toBe(62);
    expect(result.stderr).toMatch(/did not come here whole .* Nothing was started/);
    expect(result.stderr).toMatch(/part 2 of s3 .*data\.zst .* has SHA-256 [0-9a-f]{64}; expected [0-9a-f]{64}/);
    await nothingIsThere();
  });

  it('refuses a damaged log object, and leaves nothing of what it has begun', async () => {
    const object = lines.at(-2)?.split('\t')[1] ?? '';
    const key = plan('damaged-log', ['latest']);
    const result = await damaged(object, (s3.objects.get(object)?.length ?? 0) >> 1, () => restore(key));
    expect(result.code).toBe(62);
    expect(result.stderr).toContain(`the log object s3 ${object} does not unpack`);
    await nothingIsThere();
  });

  it.each([
    ['a hole', () => ({ lines: lines.filter((_, n) => n !== 3) }), /there is a hole before 2\//],
    [
      'a log from within a segment',
      () => ({ lines: lines.filter((_, n) => n !== 1) }),
      /which the server needs from its beginning/,
    ],
    ['no position', () => ({ end: '3/zero' }), /line \d+: end\t3\/zero in the plan/],
  ] as const)('refuses a plan with %s before it downloads anything of it', async (what, more, sentence) => {
    const key = plan(what.replaceAll(' ', '-'), ['latest'], more());
    s3.requests.length = 0;
    const result = await restore(key);
    expect(result.code).toBe(64);
    expect(result.stderr).toMatch(sentence);
    expect(s3.requests.length).toBe(1);
    await nothingIsThere();
  });

  it('refuses a data directory that holds something, and a running server, without touching them', async () => {
    await must(host(r).script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    await writeFile(join(host(r).data, 'precious'), 'data');
    const result = await restore(plan('occupied', ['latest']));
    expect(result.code).toBe(54);
    expect(result.stderr).toMatch(/is not empty \(precious \)/);
    expect(await readFile(join(host(r).data, 'precious'), 'utf8')).toBe('data');
    await must(host(r).script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
    await must(host(b).script('start'));
    const running = await finish('restore', b, { PLAN: plan('running', ['latest']) });
    expect(running.code).toBe(12);
    expect(await rows(b)).toBe(marks['five']?.rows);
  });

  it('touches nothing that came into the data directory while it worked', async () => {
    const object = lines.at(-1)?.split('\t')[1] ?? '';
    s3.fault = (_, path) => {
      if (path.endsWith(object)) writeFileSync(join(host(r).data, 'precious'), 'data');
      return null;
    };
    const result = await restore(plan('meanwhile', ['latest']));
    expect(result.code).toBe(54);
    expect(await readFile(join(host(r).data, 'precious'), 'utf8')).toBe('data');
    expect(await readdir(host(r).volume)).not.toContain('.rejoin-restore');
    await must(host(r).script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' }));
  });

  /** Kills the job's leader, as the kernel does when memory is short. */
  const killJob = async (h: Host | undefined, name: string): Promise<void> => {
    const pid = Number((await readFile(join(host(h).dir, 'run', name, 'pid'), 'utf8')).split(' ')[0]);
    process.kill(pid, 'SIGKILL');
    await eventually('the end of the job', 10, async () =>
      (await readFile(`/proc/${pid}/stat`).catch(() => undefined)) === undefined ? true : undefined,
    );
  };

  it('begins anew after a restore was killed while its server replayed, to the end of a log that breaks off within a record', async () => {
    const object = lines.at(-2)?.split('\t')[1] ?? '';
    let hold = true;
    s3.fault = (_, path) => (hold && path.endsWith(object.replaceAll(',', '%2C')) ? 503 : null);
    const key = plan('killed', ['latest'], { lines: lines.slice(0, -1), end: lines.at(-2)?.split('\t')[3] ?? '' });
    await eventually('replay', 30, async () =>
      (
        await host(r).script(
          'restore',
          { BUCKET: s3.bucket, PLAN: key },
          { ...s3.env, REJOIN_WATCH_SECONDS: '0', REJOIN_S3_ATTEMPTS: '9' },
        )
      ).json?.['phase'] === 'replay'
        ? true
        : undefined,
    );
    await killJob(r, 'restore');
    hold = false;
    const result = await restore(key);
    expect(result.code, result.stderr).toBe(0);
    expect(await rows(r)).toBe(marks['three']?.rows);
    await again();
  });

  it('begins a backup anew after it was killed, and leaves nothing of the first', async () => {
    await must(host(b).script('start'));
    s3.parts.set('second', new Map());
    base = base.replace('140000', '150000');
    let hold = true;
    s3.fault = (method) => (hold && method === 'PUT' ? 503 : null);
    const parameters = { KEY: base, UPLOAD_ID: 'second', PART_BYTES, BUCKET: s3.bucket };
    const first = await host(b).script('backup', parameters, {
      ...s3.env,
      REJOIN_WATCH_SECONDS: '0',
      REJOIN_S3_ATTEMPTS: '9',
    });
    expect(first.json?.['state']).toBe('running');
    await killJob(b, 'backup');
    hold = false;
    const result = await backUp('second');
    expect(result.code, result.stderr).toBe(0);
    expect(sha256(s3.complete(base, 'second'))).toBe(result.json?.['sha256']);
    expect(await readdir(host(b).volume)).not.toContain('.rejoin-backup');
  });

  it('says why a backup failed, and leaves nothing running or on the disk', async () => {
    s3.fault = (method) => (method === 'PUT' ? 500 : null);
    const result = await backUp('third');
    expect(result.code).toBe(60);
    expect(result.stderr).toMatch(
      /does not let this host put part 1 of .* \(status 500 after 3 attempts\): InternalError: made to fail/,
    );
    expect(await readdir(host(b).volume)).not.toContain('.rejoin-backup');
    expect((await processesOf([host(b).dir])).filter((p) => p.name !== 'postgres')).toEqual([]);
    await host(b).sql('SELECT pg_promote()');
    await host(b).sql('ALTER SYSTEM SET allow_in_place_tablespaces = on');
    await host(b).sql('SELECT pg_reload_conf()');
    await host(b).sql("CREATE TABLESPACE fast LOCATION ''");
    const refused = await backUp('fourth');
    expect(refused.code).toBe(61);
    expect(refused.stderr).toMatch(/has the tablespaces fast; expected none/);
  });
});
