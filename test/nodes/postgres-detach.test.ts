import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeUnavailable, type DbTarget } from '../../lambdas/cloud/ports.ts';
import { postgresAdmin } from '../../lambdas/engines/postgres/admin.ts';
import { compareLsn } from '../../lambdas/model/lsn.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import { synchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import { freeze, signal } from '../../rehearsal/cloud/hosts-processes.ts';
import { holdUp, load, processId } from '../support/postgres/load.ts';
import {
  ACCOUNTS,
  eventually,
  postgresServers,
  type PostgresServer,
  type ServerSet,
  streams,
} from '../support/postgres/servers.ts';

const admin = postgresAdmin();
const at = (server: PostgresServer): DbTarget => ({
  instanceId: server.id,
  host: server.address,
  port: server.port,
  engine: 'postgres',
});
const LOGIN = ACCOUNTS.plane;
const upstream = (of: PostgresServer, slot: string | null) => ({
  host: of.address,
  port: of.port,
  user: ACCOUNTS.replication.user,
  slot,
});

describe('who streams from whom, on real nodes', () => {
  let set: ServerSet;
  let a: PostgresServer;
  let b: PostgresServer;
  let c: PostgresServer;
  const names = (need: number): string => synchronousStandbyNames({ need, standbys: [b.id, c.id] });

  beforeEach(async () => {
    set = await postgresServers();
    a = await set.primary('127.81.0.1');
    b = await set.standby('127.81.0.2', a);
  });
  const third = async (): Promise<void> => {
    c = await set.standby('127.81.0.3', a);
  };
  afterEach(() => set.dispose());
  afterAll(() => admin.close());

  describe('detach', () => {
    it('answers a position that does not grow, while the upstream goes on writing', async () => {
      const writing = load(a);
      await writing.rows(50);
      const position = await admin.detach(at(b), LOGIN);
      const told = writing.acknowledged();
      await writing.rows(told + 200);
      await writing.stop();
      expect(position.timeline).toBe(1);
      expect(await b.sql('SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())')).toBe(position.lsn);
      expect(await b.sql('SELECT count(*) FROM pg_stat_wal_receiver')).toBe('0');
      expect(compareLsn(await a.sql('SELECT pg_current_wal_flush_lsn()'), position.lsn)).toBeGreaterThan(0);
      expect(await admin.detach(at(b), LOGIN)).toEqual(position);
    });

    it('outlasts a restart', async () => {
      const position = await admin.detach(at(b), LOGIN);
      await b.kill();
      await b.start();
      await a.sql('CREATE TABLE later (n int)');
      expect(await b.sql("SELECT current_setting('primary_conninfo') || current_setting('primary_slot_name')")).toBe(
        '',
      );
      expect(await admin.detach(at(b), LOGIN)).toEqual(position);
    });

    it.each([
      ['frozen', (server: PostgresServer) => server.freeze(), (server: PostgresServer) => server.thaw()],
      ['gone', (server: PostgresServer) => server.kill(), (server: PostgresServer) => server.start()],
    ] as const)('holds when the upstream is %s and comes back', async (_, away, back) => {
      await third();
      await away(a);
      const positions = await Promise.all([admin.detach(at(b), LOGIN), admin.detach(at(c), LOGIN)]);
      await back(a);
      await a.sql('CREATE TABLE later (n int)');
      // Longer than wal_retrieve_retry_interval: a standby that had an upstream left would have called.
      const from = Date.now();
      await eventually('a second gone by', 5, async () => (Date.now() - from > 1000 ? true : undefined));
      expect(await a.sql('SELECT count(*) FROM pg_stat_replication')).toBe('0');
      expect(await Promise.all([admin.detach(at(b), LOGIN), admin.detach(at(c), LOGIN)])).toEqual(positions);
    });

    it('of n - k + 1 standbys leaves a primary that was frozen meanwhile unable to acknowledge a commit', async () => {
      await third();
      await a.sql('CREATE TABLE t (n int)');
      await admin.setSync(at(a), LOGIN, '', names(1));
      await a.sql('INSERT INTO t VALUES (1)');
      await a.freeze();
      await Promise.all([admin.detach(at(b), LOGIN), admin.detach(at(c), LOGIN)]);
      await a.thaw();
      await expect(a.sql('INSERT INTO t VALUES (2)', { timeoutMs: 3000 })).rejects.toThrow();
      expect(await a.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")).not.toBe('0');
      expect(await b.sql('SELECT count(*) FROM t')).toBe('1');
    });

    it('of one standby too few leaves the primary acknowledging', async () => {
      await third();
      await a.sql('CREATE TABLE t (n int)');
      await admin.setSync(at(a), LOGIN, '', names(1));
      await admin.detach(at(b), LOGIN);
      await a.sql('INSERT INTO t VALUES (2)', { timeoutMs: 10_000 });
    });

    it('of a crashed primary that was started as a standby tells the end of its own log', async () => {
      await a.sql('CREATE TABLE t AS SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 40000) AS n');
      const end = await a.sql('SELECT pg_current_wal_flush_lsn()');
      await a.kill();
      await a.makeStandby();
      await a.start();
      const position = await admin.detach(at(a), LOGIN);
      expect(compareLsn(position.lsn, end)).toBeGreaterThanOrEqual(0);
      expect(position.timeline).toBe(1);
    });

    it('is answered by a standby that is behind with replaying, with all that it received', async () => {
      const startup = await processId(b, 'startup');
      await freeze([startup]);
      await a.sql(
        'CREATE TABLE big AS SELECT n, repeat(md5(n::text), 10) AS text FROM generate_series(1, 200000) AS n',
      );
      const end = await a.sql('SELECT pg_current_wal_flush_lsn()');
      await eventually('all of it received', 20, async () =>
        compareLsn(await b.sql('SELECT pg_last_wal_receive_lsn()'), end) >= 0 ? true : undefined,
      );
      signal(startup, 'SIGCONT');
      // Its receiver is let go of between two segments: it may take more than one call on a slow machine.
      const position = await eventually('detached', 20, () =>
        admin.detach(at(b), LOGIN).catch((error: unknown) => {
          if (error instanceof NodeUnavailable) return undefined;
          throw error;
        }),
      );
      expect(compareLsn(position.lsn, end)).toBeGreaterThanOrEqual(0);
    });

    it('is not undone by a hand that was about to point the standby at its upstream', async () => {
      const held = holdUp('ALTER SYSTEM', 500);
      const slow = postgresAdmin({ connect: held.connect });
      const late = slow.follow(at(b), LOGIN, upstream(a, null)).catch((error: unknown) => error);
      await eventually('the hand is held up', 5, async () => (held.holding() ? true : undefined));
      await admin.detach(at(b), LOGIN);
      await late;
      await slow.close();
      expect(await b.sql("SELECT current_setting('primary_conninfo') || current_setting('primary_slot_name')")).toBe(
        '',
      );
      expect(await b.sql("SELECT count(*) FROM pg_file_settings WHERE name ~ '^primary_' AND setting <> ''")).toBe('0');
    });

    it('does not go by the lists of receivers: one that has just gone may come back', async () => {
      const startup = await processId(b, 'startup');
      await freeze([startup]); // it cannot read its configuration, and has an upstream still
      await a.kill();
      await eventually('its receiver ended', 10, async () =>
        (await b.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'")) === '0'
          ? true
          : undefined,
      );
      expect(await b.sql('SELECT count(*) FROM pg_stat_wal_receiver')).toBe('0');
      await expect(admin.detach(at(b), LOGIN)).rejects.toThrow(NodeUnavailable);
      signal(startup, 'SIGCONT');
      expect(await admin.detach(at(b), LOGIN)).toMatchObject({ timeline: 1 });
    });

    it('holds for a standby that was held up while it waited to try again', async () => {
      await third();
      const startup = await processId(b, 'startup');
      await a.kill();
      const waits = "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'";
      await eventually('held up in that wait', 10, async () => {
        await freeze([startup]);
        if ((await b.sql(waits)) === 'RecoveryRetrieveRetryInterval') return true;
        signal(startup, 'SIGCONT');
        return undefined;
      });
      const position = await admin.detach(at(b), LOGIN);
      await a.start();
      await streams(a, c);
      signal(startup, 'SIGCONT');
      await a.sql('CREATE TABLE later (n int)');
      await eventually('the others have it', 10, async () =>
        (await c.sql("SELECT count(*) FROM pg_class WHERE relname = 'later'")) === '1' ? true : undefined,
      );
      expect(await admin.detach(at(b), LOGIN)).toEqual(position);
    });
  });

  describe('follow', () => {
    it('makes a detached standby stream under its own name, through its slot', async () => {
      await admin.detach(at(b), LOGIN);
      await admin.follow(at(b), LOGIN, upstream(a, slotOf(b.id)));
      await streams(a, b);
      expect(await a.sql(`SELECT active FROM pg_replication_slots WHERE slot_name = '${slotOf(b.id)}'`)).toBe('t');
    });

    it('again changes nothing: the stream goes on', async () => {
      const receiver = await b.sql('SELECT pid FROM pg_stat_wal_receiver');
      await admin.follow(at(b), LOGIN, upstream(a, slotOf(b.id)));
      await admin.follow(at(b), LOGIN, upstream(a, slotOf(b.id)));
      expect(await b.sql('SELECT pid FROM pg_stat_wal_receiver')).toBe(receiver);
    });

    it('goes over to a promoted standby and its timeline, which both tell at once', async () => {
      await third();
      // The control files stay at the old timeline: only the checkpointer writes them.
      for (const server of [b, c]) await freeze([await processId(server, 'checkpointer')]);
      await a.kill();
      await Promise.all([admin.detach(at(b), LOGIN), admin.detach(at(c), LOGIN)]);
      await admin.setSlots(at(b), LOGIN, { create: [c.id], drop: [] });
      await admin.follow(at(c), LOGIN, upstream(b, slotOf(c.id)));
      await admin.promote(at(b), LOGIN);
      expect(await admin.verifyWritable(at(b), LOGIN)).toMatchObject({ timeline: 2 });
      await b.sql('CREATE TABLE later (n int)');
      const end = await b.sql('SELECT pg_current_wal_flush_lsn()');
      await eventually('all of it replayed', 10, async () =>
        compareLsn(await c.sql('SELECT pg_last_wal_replay_lsn()'), end) >= 0 ? true : undefined,
      );
      expect(await admin.detach(at(c), LOGIN)).toEqual({ timeline: 2, lsn: end });
      for (const server of [b, c]) {
        expect(await server.sql('SELECT timeline_id FROM pg_control_checkpoint()')).toBe('1');
        signal(await processId(server, 'checkpointer'), 'SIGCONT');
      }
    });
  });

  it('detach and follow refuse a primary, and leave its settings', async () => {
    await expect(admin.detach(at(a), LOGIN)).rejects.toThrow(/is no standby/);
    await expect(admin.follow(at(a), LOGIN, upstream(b, null))).rejects.toThrow(/is no standby/);
    expect(await a.sql("SELECT count(*) FROM pg_file_settings WHERE name ~ '^primary_'")).toBe('0');
  });

  describe('promote', () => {
    it('makes a primary of a standby, and leaves a primary as it is', async () => {
      await admin.detach(at(b), LOGIN);
      await admin.promote(at(b), LOGIN);
      await admin.promote(at(b), LOGIN);
      await b.sql('CREATE TABLE mine (n int)');
      expect(await b.sql('SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)')).toBe('00000002');
    });

    it('begins a timeline above those that were passed over, and standbys follow there', async () => {
      await third();
      await a.kill();
      await Promise.all([admin.detach(at(b), LOGIN), admin.detach(at(c), LOGIN)]);
      expect(await admin.passOver(at(b), LOGIN, { from: 2, to: 3 })).toBe(true);
      expect(await admin.passOver(at(b), LOGIN, { from: 2, to: 4 })).toBe(true); // a repeated step
      expect(await admin.detach(at(b), LOGIN)).toMatchObject({ timeline: 1 });
      await admin.setSlots(at(b), LOGIN, { create: [c.id], drop: [] });
      await admin.follow(at(c), LOGIN, upstream(b, slotOf(c.id)));
      await streams(b, c);
      await admin.promote(at(b), LOGIN);
      await b.sql('CREATE TABLE later (n int)');
      const end = await b.sql('SELECT pg_current_wal_flush_lsn()');
      await eventually('all of it replayed', 10, async () =>
        compareLsn(await c.sql('SELECT pg_last_wal_replay_lsn()'), end) >= 0 ? true : undefined,
      );
      expect(await admin.detach(at(c), LOGIN)).toEqual({ timeline: 5, lsn: end });
      expect(await b.sql("SELECT pg_read_file('pg_wal/00000005.history')")).toMatch(/^1\t[0-9A-F/]+\t[^\n]*\n?$/);
      expect(await admin.passOver(at(b), LOGIN, { from: 6, to: 6 })).toBe(true);
      expect(await b.sql("SELECT count(*) FROM pg_ls_waldir() WHERE name = '00000006.history'")).toBe('0');
    });

    it('tells that a database has not the means to pass over timelines', async () => {
      await a.sql('DROP FUNCTION rejoin.pass_over_timelines(int, int)');
      expect(await admin.passOver(at(a), LOGIN, { from: 2, to: 2 })).toBe(false);
    });
  });
});
