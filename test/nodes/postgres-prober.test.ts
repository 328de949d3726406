import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { databaseProber } from '../../lambdas/engines/prober.ts';
import { compareLsn } from '../../lambdas/model/lsn.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import type { PostgresStatus } from '../../lambdas/model/postgres.ts';
import { freeze, signal } from '../../rehearsal/cloud/hosts-processes.ts';
import { holdUp, processId } from '../support/postgres/load.ts';
import { answered, DEADLINE_MS, probing } from '../support/postgres/probing.ts';
import {
  ACCOUNTS,
  eventually,
  postgresServers,
  type PostgresServer,
  type ServerSet,
} from '../support/postgres/servers.ts';

const { prober, timed, target } = probing();
const LOGIN = ACCOUNTS.plane;

describe('the prober on real PostgreSQL nodes', () => {
  let set: ServerSet;
  let a: PostgresServer;
  let b: PostgresServer;
  const status = async (server: PostgresServer): Promise<PostgresStatus> =>
    answered(await timed(prober().probe(target(server.address), LOGIN)));

  beforeAll(async () => {
    set = await postgresServers();
    a = await set.primary('127.81.1.1');
    b = await set.standby('127.81.1.2', a);
  });
  afterAll(() => set.dispose());

  it('asks with an account that may do no more than nodes/postgres/setup.sql says', async () => {
    const rights =
      "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, (SELECT string_agg(roleid::regrole::text, ' ' ORDER BY roleid::regrole::text) FROM pg_auth_members WHERE member = r.oid)";
    expect(await a.sql(`SELECT ${rights} FROM pg_roles AS r WHERE rolname = 'rejoin'`)).toBe(
      'f\tf\tf\tt\tf\tpg_checkpoint pg_monitor',
    );
  });

  it('sees a primary, its standby and its slot', async () => {
    await a.sql(`ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ("${b.id}")'`);
    await a.sql('SELECT pg_reload_conf()');
    await a.sql('CREATE TABLE t (n int)');
    const systemId = await a.sql('SELECT system_identifier FROM pg_control_system()');
    const lsn = await a.sql('SELECT pg_current_wal_flush_lsn()');
    const seen = await status(a);
    expect(seen).toMatchObject({
      engine: 'postgres',
      inRecovery: false,
      systemId,
      timeline: 1,
      replayLsn: null,
      replayLagSeconds: null,
      receiver: null,
      followsHost: null,
      synchronousStandbyNames: `ANY 1 ("${b.id}")`,
      disk: null,
      standbys: [{ node: b.id, state: 'streaming', syncState: 'quorum' }],
      slots: [{ name: slotOf(b.id), active: true, walStatus: 'reserved' }],
    });
    expect(compareLsn(seen.lsn, lsn)).toBeGreaterThanOrEqual(0);
    expect(compareLsn(seen.standbys[0]?.flushLsn ?? '0/0', lsn)).toBeGreaterThanOrEqual(0);
    expect(compareLsn(seen.slots[0]?.restartLsn ?? '0/0', '0/0')).toBeGreaterThan(0);
  });

  it('sees a standby, whom it follows and when it heard from it last', async () => {
    const lsn = await a.sql('SELECT pg_current_wal_flush_lsn()');
    const seen = await eventually('all of it received', 10, async () => {
      const found = await status(b);
      return compareLsn(found.lsn, lsn) >= 0 ? found : undefined;
    });
    expect(seen).toMatchObject({
      inRecovery: true,
      systemId: (await status(a)).systemId,
      timeline: 1,
      followsHost: a.address,
      receiver: { status: 'streaming', senderHost: a.address, slot: slotOf(b.id), timeline: 1 },
      standbys: [],
      slots: [],
    });
    expect(seen.replayLsn).toMatch(/^0\//);
    expect(seen.replayLagSeconds).toBeGreaterThanOrEqual(0);
    expect(seen.receiver?.lastMessageAgoMs).toBeLessThan(5000);
  });

  it('tells how long a frozen primary has not been heard from', async () => {
    await a.freeze();
    try {
      const before = (await status(b)).receiver?.lastMessageAgoMs ?? Infinity;
      await eventually('a second of silence', 4, async () =>
        ((await status(b)).receiver?.lastMessageAgoMs ?? 0) >= 1000 ? true : undefined,
      );
      expect(before).toBeLessThan(1000 + 2500);
    } finally {
      await a.thaw();
    }
  });

  it('tells the space that the host wrote down, and nothing when that is old or no such thing', async () => {
    const file = join(a.dataDir, 'rejoin-disk');
    writeFileSync(file, '1000000 250000\n');
    expect((await status(a)).disk).toEqual({ totalBytes: 1_000_000, availableBytes: 250_000 });
    execFileSync('touch', ['-d', '10 minutes ago', file]);
    expect((await status(a)).disk).toBeNull();
    writeFileSync(file, 'a lot');
    expect((await status(a)).disk).toBeNull();
  });

  it('keeps one connection a node, and opens another when that one was ended', async () => {
    const p = prober();
    const sessions = (): Promise<string> =>
      a.sql("SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE usename = 'rejoin'");
    await eventually('sessions of other tests gone', 5, async () => ((await sessions()) === '' ? true : undefined));
    await p.probe(target(a.address), LOGIN);
    const first = await sessions();
    expect(first).toMatch(/^\d+$/);
    await p.probe(target(a.address), LOGIN);
    expect(await sessions()).toBe(first);
    await a.sql(`SELECT pg_terminate_backend(${first})`);
    answered(await timed(p.probe(target(a.address), LOGIN)));
    expect(await sessions()).not.toBe(first);
    await p.close();
    await eventually('no session left', 5, async () => ((await sessions()) === '' ? true : undefined));
  });

  it('goes by the engine of its target', async () => {
    const p = databaseProber();
    const probe = await p.probe({ ...target(a.address), engine: 'postgres' }, LOGIN);
    expect(answered(probe).inRecovery).toBe(false);
    // MariaDB greets first, and PostgreSQL waits to be spoken to.
    expect(await p.probe({ ...target(a.address), engine: 'galera' }, LOGIN)).toMatchObject({ kind: 'silent' });
    await p.close();
  });

  it.each([
    ['a wrong password', { ...LOGIN, password: 'wrong' }, /refuses the plane: 28P01 password authentication failed/],
    ['an unknown role', { ...LOGIN, user: 'nobody' }, /28000 no pg_hba\.conf entry.*docs\/hosts\.md/],
    ['a role without grants', ACCOUNTS.app, /42501 permission denied.*setup\.sql/],
    ['no password', { ...LOGIN, password: '' }, /password must be a non-empty string/],
  ] as const)('is rejected with %s, in a clear sentence', async (_, login, words) => {
    const probe = await timed(prober().probe(target(a.address), login));
    expect(probe).toMatchObject({ kind: 'rejected', detail: expect.stringMatching(words) as string });
    expect(JSON.stringify(probe)).not.toContain(login.password || 'password=');
  });

  it('finds nobody listening', async () => {
    expect(await timed(prober().probe(target(a.address, 5999), LOGIN))).toMatchObject({ kind: 'refused' });
  });

  it.each([
    ['with a kept connection', true],
    ['for the first time', false],
  ])('finds a frozen server silent, probed %s', async (_, warm) => {
    const p = prober();
    if (warm) answered(await p.probe(target(b.address), LOGIN));
    await b.freeze();
    try {
      const probe = await timed(p.probe(target(b.address), LOGIN));
      expect(probe).toMatchObject({ kind: 'silent' });
      expect('tookMs' in probe && probe.tookMs).toBeGreaterThanOrEqual(DEADLINE_MS - 1);
    } finally {
      await b.thaw();
    }
    answered(await p.probe(target(b.address), LOGIN));
  });

  it('gets its answer over a fresh connection when the kept one hangs', async () => {
    const p = prober();
    answered(await p.probe(target(b.address), LOGIN));
    const session = Number(await b.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'rejoin'"));
    await freeze([session]);
    try {
      answered(await timed(p.probe(target(b.address), LOGIN)));
    } finally {
      signal(session, 'SIGCONT');
    }
  });

  it('tells the new timeline of a promoted standby at once, while its control file names the old one', async () => {
    const checkpointer = await processId(b, 'checkpointer');
    await freeze([checkpointer]);
    try {
      await b.sql('SELECT pg_promote(false)');
      const seen = await eventually('promoted', 10, async () => {
        const found = await status(b);
        return found.inRecovery ? undefined : found;
      });
      expect(await b.sql('SELECT timeline_id FROM pg_control_checkpoint()')).toBe('1');
      expect(seen).toMatchObject({ timeline: 2, receiver: null, replayLsn: null, followsHost: null });
    } finally {
      signal(checkpointer, 'SIGCONT');
    }
  });

  it('is rejected by a server that goes down or comes up, which says so', async () => {
    const p = prober();
    const pid = await b.pid();
    // A session that hangs holds a shutdown up.
    const session = Number(await b.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"));
    await freeze([session]);
    try {
      signal(pid, 'SIGINT');
      const probe = await eventually('going down', 10, async () => {
        const found = await timed(p.probe(target(b.address), LOGIN));
        return found.kind === 'answered' ? undefined : found;
      });
      expect(probe).toMatchObject({
        kind: 'rejected',
        detail: expect.stringMatching(/57P03 the database system is shutting down/) as string,
      });
    } finally {
      signal(session, 'SIGCONT');
    }
    await eventually('gone', 20, async () =>
      (await timed(p.probe(target(b.address), LOGIN))).kind === 'refused' ? true : undefined,
    );
  });

  it('tells of a crashed primary that was started as a standby what it had written, on its own timeline', async () => {
    await a.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
    await a.sql('SELECT pg_reload_conf()');
    await a.sql('CREATE TABLE more (n int)');
    const { lsn } = await status(a);
    await a.kill();
    expect(await timed(prober().probe(target(a.address), LOGIN))).toMatchObject({ kind: 'refused' });
    await a.makeStandby();
    await a.start();
    const seen = await eventually('all replayed', 10, async () => {
      const found = await status(a);
      return compareLsn(found.lsn, lsn) >= 0 ? found : undefined;
    });
    expect(seen).toMatchObject({ inRecovery: true, timeline: 1, receiver: null, followsHost: null });
  });
});

describe('the prober and a server process that hangs between two messages', () => {
  it('says when the session was opened and the statement is not answered', async () => {
    const set = await postgresServers();
    try {
      const a = await set.primary('127.81.1.3');
      const held = holdUp('pg_is_in_recovery', 5000);
      const probe = await timed(prober({ connect: held.connect }).probe(target(a.address), LOGIN));
      expect(probe).toMatchObject({ kind: 'silent' });
      expect(held.holding()).toBe(true);
    } finally {
      await set.dispose();
    }
  });
});
