import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NodeRefused, NodeUnavailable, Conflict, type DbTarget } from '../../lambdas/cloud/ports.ts';
import { postgresAdmin } from '../../lambdas/engines/postgres/admin.ts';
import { compareLsn } from '../../lambdas/model/lsn.ts';
import { synchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import { holdUp } from '../support/postgres/load.ts';
import {
  ACCOUNTS,
  eventually,
  postgresServers,
  type PostgresServer,
  type ServerSet,
} from '../support/postgres/servers.ts';

const admin = postgresAdmin();
const at = (server: PostgresServer): DbTarget => ({
  instanceId: server.id,
  host: server.address,
  port: server.port,
  engine: 'postgres',
});
const LOGIN = ACCOUNTS.plane;
describe('changes on real nodes', () => {
  let set: ServerSet;
  let a: PostgresServer;
  let b: PostgresServer;
  let c: PostgresServer;
  const names = (need: number): string => synchronousStandbyNames({ need, standbys: [b.id, c.id] });

  beforeAll(async () => {
    set = await postgresServers();
    a = await set.primary('127.81.5.1');
    [b, c] = await Promise.all([set.standby('127.81.5.2', a), set.standby('127.81.5.3', a)]);
  });
  afterEach(async () => {
    await Promise.all([a, b].map((server) => admin.setSync(at(server), LOGIN, null, '')));
  });
  afterAll(async () => {
    await admin.close();
    await set.dispose();
  });

  describe('setSync', () => {
    it('sets what was asked for, once and again, on primaries and standbys', async () => {
      for (const server of [a, b]) {
        await admin.setSync(at(server), LOGIN, '', names(1));
        await admin.setSync(at(server), LOGIN, '', names(1)); // the answer was lost, and it is asked again
        expect(await server.sql('SHOW synchronous_standby_names')).toBe(names(1));
        await admin.setSync(at(server), LOGIN, null, names(2));
        expect(await server.sql('SHOW synchronous_standby_names')).toBe(names(2));
      }
    });

    it('changes nothing when it finds another setting', async () => {
      await admin.setSync(at(a), LOGIN, '', names(1));
      await expect(admin.setSync(at(a), LOGIN, '', names(2))).rejects.toThrow(Conflict);
      expect(await a.sql('SHOW synchronous_standby_names')).toBe(names(1));
    });

    it('finds a setting that was written and not yet read by the server', async () => {
      await a.sql(`ALTER SYSTEM SET synchronous_standby_names = 'somebody'`);
      await expect(admin.setSync(at(a), LOGIN, '', names(2))).rejects.toThrow(
        /has synchronous_standby_names "somebody"/,
      );
    });

    it('lets one of several hands through', async () => {
      const others = [1, 2, 3, 4].map((n) => `ANY 1 ("i-${n}")`);
      const outcomes = await Promise.allSettled(others.map((name) => admin.setSync(at(a), LOGIN, '', name)));
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
      expect(await a.sql('SHOW synchronous_standby_names')).toBe(others[winner]);
    });

    it('keeps other hands out between the look and the change', async () => {
      const held = holdUp('ALTER SYSTEM', 500);
      const slow = postgresAdmin({ connect: held.connect });
      const first = slow.setSync(at(a), LOGIN, '', names(2));
      await eventually('the hand is held up', 5, async () => (held.holding() ? true : undefined));
      await expect(admin.setSync(at(a), LOGIN, '', names(1))).rejects.toThrow(Conflict);
      await first;
      await slow.close();
      expect(await a.sql('SHOW synchronous_standby_names')).toBe(names(2));
    });

    it('by a hand that is held up after it has looked changes nothing', async () => {
      const held = holdUp('ALTER SYSTEM', 1300);
      const slow = postgresAdmin({ connect: held.connect });
      const late = slow.setSync(at(a), LOGIN, '', names(2)).catch((error: unknown) => error);
      await eventually('the hand is held up', 5, async () => (held.holding() ? true : undefined));
      await expect(admin.setSync(at(a), LOGIN, '', names(1))).resolves.toBeUndefined();
      expect(await late).toBeInstanceOf(NodeUnavailable);
      await slow.close();
      expect(await a.sql('SHOW synchronous_standby_names')).toBe(names(1));
      expect(await a.sql("SELECT setting FROM pg_file_settings WHERE name = 'synchronous_standby_names'")).toBe(
        names(1),
      );
    });
  });

  describe('setSlots', () => {
    it('makes slots that reserve WAL, and drops others, once and again, on primaries and standbys', async () => {
      for (const server of [a, b]) {
        const change = { create: ['i-0a', 'i-0b'], drop: ['i-0c'] };
        await server.sql("SELECT pg_create_physical_replication_slot('i_0c')");
        await admin.setSlots(at(server), LOGIN, change);
        await admin.setSlots(at(server), LOGIN, change);
        expect(
          await server.sql(
            "SELECT slot_name, restart_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name ~ '^i_0.$' ORDER BY 1",
          ),
        ).toBe('i_0a\tt\ni_0b\tt');
      }
    });

    it('leaves a slot that is in use', async () => {
      await admin.setSlots(at(a), LOGIN, { create: [], drop: [b.id, c.id] });
      expect(await a.sql('SELECT count(*) FROM pg_replication_slots WHERE active')).toBe('2');
    });

    it('refuses a name that no slot can have, and says so', async () => {
      await expect(admin.setSlots(at(a), LOGIN, { create: ["x'; DROP"], drop: [] })).rejects.toThrow(
        /cannot name a slot/,
      );
    });
  });

  describe('verifyWritable', () => {
    it('answers the position behind its own write', async () => {
      const before = await a.sql('SELECT pg_current_wal_flush_lsn()');
      const position = await admin.verifyWritable(at(a), LOGIN);
      expect(compareLsn(position.lsn, before)).toBeGreaterThan(0);
    });

    it('fails when the acknowledgements do not come, and leaves no session waiting', async () => {
      await admin.setSync(at(a), LOGIN, '', 'ANY 1 ("i-nobody")');
      await expect(admin.verifyWritable(at(a), LOGIN)).rejects.toThrow(NodeUnavailable);
      await eventually('no session left', 5, async () =>
        (await a.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rejoin'")) === '0' ? true : undefined,
      );
    });

    it('does not take a wait that was cancelled for an acknowledgement', async () => {
      await admin.setSync(at(a), LOGIN, '', 'ANY 1 ("i-nobody")');
      const verified = admin.verifyWritable(at(a), LOGIN).catch((error: unknown) => error);
      await eventually('the wait cancelled', 5, async () =>
        (await a.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")) === 't'
          ? true
          : undefined,
      );
      expect(await verified).toMatchObject({
        message: expect.stringMatching(/without the acknowledgements/) as string,
      });
    });

    it('refuses a standby', async () => {
      await expect(admin.verifyWritable(at(b), LOGIN)).rejects.toThrow(/is a standby/);
    });
  });

  it('checkpoint writes one', async () => {
    const redo = 'SELECT redo_lsn FROM pg_control_checkpoint()';
    const before = await a.sql(redo);
    await a.sql('CREATE TABLE t (n int)');
    await admin.checkpoint(at(a), LOGIN);
    expect(compareLsn(await a.sql(redo), before)).toBeGreaterThan(0);
  });

  const nothing = async (): Promise<void> => undefined;
  it.each([
    ['a server that is gone', (): Promise<void> => c.kill(), LOGIN, NodeUnavailable, /ECONNREFUSED/],
    [
      'a server that is frozen',
      (): Promise<void> => c.freeze(),
      LOGIN,
      NodeUnavailable,
      /not through with .* after 1500 ms/,
    ],
    ['a wrong password', nothing, { ...LOGIN, password: 'x' }, NodeRefused, /28P01/],
    ['a role without grants', nothing, ACCOUNTS.app, NodeRefused, /42501.*setup\.sql/],
  ] as const)('%s is told apart', async (_, befall, login, kind, words) => {
    await befall();
    const from = performance.now();
    const error = await admin.setSync(at(c), login, '', names(1)).catch((e: unknown) => e);
    const tookMs = performance.now() - from;
    await c.thaw();
    if (befall !== nothing && words.test('ECONNREFUSED')) await c.start();
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message).toMatch(words);
    expect(tookMs).toBeLessThan(1700);
  });
});
