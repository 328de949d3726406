import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { keyOf } from '../../lambdas/model/archive/keys.ts';
import { processesOf } from '../../rehearsal/cloud/hosts-processes.ts';
import { ended } from '../support/archive/ended.ts';
import { bytesOf, segmentStart, storePlan, storeWal } from '../support/archive/plans.ts';
import { startS3 } from '../support/archive/s3.ts';
import type { S3 } from '../support/archive/s3.ts';
import { eventually, makeHosts, must, promote, sameRows } from './postgres-hosts.ts';
import type { Host, HostSet, ScriptResult } from './postgres-hosts.ts';

/** As the plane's prober does. */
const connected = (host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port: 5432 }, () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });

const UPLOAD = 'VXBsb2Fk.1';

// A cluster that has failed over since its base backup; a third host, empty, gets its data from the archive and joins.
describe('a replica out of the archive', () => {
  let s3: S3;
  let set: HostSet;
  let empty: HostSet;
  let a: Host;
  let b: Host;
  let joiner: Host;
  let key: string;
  let lines: string[] = [];
  let end = '';

  const finish = (host: Host, name: 'backup' | 'restore', parameters: Readonly<Record<string, string>>) =>
    ended(`${name} on ${host.id}`, () =>
      host.script(
        name,
        { BUCKET: s3.bucket, ...parameters },
        { ...s3.env, REJOIN_WATCH_SECONDS: '10', REJOIN_S3_ATTEMPTS: '9' },
      ),
    );
  const restore = (plan = key): Promise<ScriptResult> => finish(joiner, 'restore', { PLAN: plan, FINISH: 'standby' });
  const prepare = (): Promise<ScriptResult> => joiner.script('prepare', { SOURCE: 'peer', VOLUME_ID: 'none' });
  const flushed = (host: Host): Promise<string> => host.sql('SELECT pg_current_wal_flush_lsn()');
  const settings = async (): Promise<string> => readFile(join(joiner.data, 'postgresql.auto.conf'), 'utf8');
  /** Starts a restore that cannot get its last log object, and answers when its server replays. */
  const halfRestored = async (): Promise<void> => {
    const object = (lines.at(-1)?.split('\t')[1] ?? '').replaceAll(',', '%2C');
    s3.fault = (_, path) => (path.endsWith(object) ? 503 : null);
    const env = { ...s3.env, REJOIN_WATCH_SECONDS: '0', REJOIN_S3_ATTEMPTS: '500' };
    await eventually('the replay', 150, async () => {
      const said = (await joiner.script('restore', { BUCKET: s3.bucket, PLAN: key, FINISH: 'standby' }, env)).json;
      return said?.['phase'] === 'replay' ? true : undefined;
    });
  };

  beforeAll(async () => {
    s3 = await startS3();
    set = await makeHosts({ third: 26, count: 2 });
    empty = await makeHosts({ third: 27, count: 1, filled: false });
    [a, b, joiner] = [...set.hosts, ...empty.hosts] as [Host, Host, Host];
    await promote(a, [b]);
    await must(b.join(a));
    await a.sql('CREATE TABLE t (id serial PRIMARY KEY, v text)');
    await a.sql("INSERT INTO t (v) VALUES ('in the base')");
    await sameRows(a, b);
    const place = { cluster: 'orders', history: await a.sql('SELECT system_identifier FROM pg_control_system()') };
    const base = keyOf(place, { kind: 'base', id: '20261128T140000Z' });
    s3.parts.set(UPLOAD, new Map());
    const backup = await finish(b, 'backup', { KEY: base, UPLOAD_ID: UPLOAD, PART_BYTES: '5242880' });
    expect(backup.code, backup.stderr).toBe(0);
    s3.complete(base, UPLOAD);
    await a.sql("INSERT INTO t (v) VALUES ('on the old timeline')");
    await sameRows(a, b);
    const from = segmentStart(bytesOf(String((backup.json?.['start'] as { lsn: string }).lsn)));
    await a.kill();
    await b.sql('SELECT pg_promote()');
    await b.sql("INSERT INTO t (v) VALUES ('on the new timeline')");
    // As the plane does: the log is kept for the joiner before it is known how far the archive reaches.
    await b.sql(`SELECT pg_create_physical_replication_slot('${joiner.slot}', true)`);
    const history = await readFile(join(b.data, 'pg_wal', '00000003.history'), 'utf8');
    const left = bytesOf(/^2\t(\S+)\t/m.exec(history)?.[1] ?? '');
    const historyKey = keyOf(place, { kind: 'history', timeline: 3 });
    s3.objects.set(historyKey, Buffer.from(history));
    const last = bytesOf(await flushed(b));
    end = `3/${await flushed(b)}`;
    const old = await storeWal(s3, place, { pgWal: join(a.data, 'pg_wal'), timeline: 2, from, to: left });
    const pgWal = join(b.data, 'pg_wal');
    // The archive ends in the middle of a record: what is beyond it comes from the primary.
    const later = await storeWal(s3, place, { pgWal, timeline: 3, from: left, to: last - 24n }, [left + 77n]);
    lines = [`history\t3\t${historyKey}`, ...old, ...later];
    const target = ['latest'];
    const plan = { engine: 'postgres', base, lines, target } as const;
    key = storePlan(s3, 'seed', { ...plan, end: (lines.at(-1) ?? '').split('\t')[3] ?? '' });
    storePlan(s3, 'to-a-time', { ...plan, end, target: ['time', '2026-11-28T14:00:00Z'] });
    await b.sql("INSERT INTO t (v) VALUES ('beyond the archive')");
    await must(prepare());
  });
  afterAll(async () => {
    await set.dispose();
    await empty.dispose();
    await s3.close();
  });

  afterEach(() => {
    s3.fault = () => null;
  });

  it('is not stopped anywhere but at the end of the log', async () => {
    const refused = await restore('restored/restore/to-a-time/plan');
    expect(refused.code).toBe(64);
    expect(refused.stderr).toMatch(/target is a time, and Finish is standby; expected the target latest/);
    expect(await readdir(joiner.data).catch(() => [])).toEqual([]);
  });

  it('listens to nobody but the script while it is made', async () => {
    await halfRestored();
    // By then it would listen, if it did.
    const socket = join(joiner.dir, 'db', '.s.PGSQL.5432');
    await eventually('the socket', 10, () => Promise.resolve(existsSync(socket) ? true : undefined));
    await connected(b.address);
    await expect(connected(joiner.address)).rejects.toThrow(/ECONNREFUSED/);
    // A failover that looks for candidates finds none here.
    const started = await joiner.script('start');
    expect(started.code).toBe(11);
    expect(await processesOf([joiner.dir])).toEqual([]);
    expect(await readdir(joiner.volume)).not.toContain('.rejoin-restore');
  });

  it('is given up by whoever prepares or joins the host, and half a database is nobody’s', async () => {
    await halfRestored();
    await must(prepare());
    expect(await readdir(joiner.data)).toEqual([]);
    // Nothing was moved aside: there was nothing worth it.
    expect(await readdir(joiner.volume)).toEqual(['main']);
    await halfRestored();
    const joined = await joiner.join(b);
    expect(joined.code, joined.stderr).toBe(50);
    expect(joined.stderr).toContain('holds nothing');
  });

  it('is left stopped, with nothing of the replay in its settings, and follows without a copy', async () => {
    const result = await restore();
    expect(result.code, result.stderr).toBe(0);
    expect(result.json).toMatchObject({
      state: 'restored',
      restoredTo: expect.stringMatching(/^3\//) as string,
      systemId: await b.sql('SELECT system_identifier FROM pg_control_system()'),
    });
    expect(bytesOf(String(result.json?.['restoredTo']))).toBeLessThan(bytesOf(end));
    expect(await processesOf([joiner.dir])).toEqual([]);
    expect(await settings()).not.toMatch(/^(restore_command|recovery_|listen_addresses|primary_|hot_standby)/m);
    expect(await readdir(joiner.data)).toContain('standby.signal');
    expect(await readdir(joiner.volume)).not.toContain('.rejoin-restore');
    const joined = await joiner.join(b);
    expect(joined.code, joined.stderr).toBe(0);
    expect(joined.json).toMatchObject({ joined: 'started', rewound: false, rebuilt: false, timeline: 3 });
    expect(await sameRows(b, joiner)).toBe(4);
  });

  it('is a replica like any other: it starts again, is not held to a timeline, and can become the primary', async () => {
    expect(
      await joiner.sql("SELECT current_setting('recovery_target_timeline') || current_setting('restore_command')"),
    ).toBe('latest');
    await must(joiner.script('stop'));
    await must(joiner.join(b));
    await b.sql('CHECKPOINT');
    expect(await sameRows(b, joiner)).toBe(4);
    await b.kill();
    await joiner.sql('SELECT pg_promote()');
    await joiner.sql("INSERT INTO t (v) VALUES ('as a primary')");
    expect(await joiner.sql('SELECT count(*) FROM t')).toBe('5');
  });
});
