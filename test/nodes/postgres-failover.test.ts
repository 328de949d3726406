/**
 * The failover workflow over real PostgreSQL servers, with a client that writes to every node it can reach: EC2, the ledger and
 * Step Functions are in memory, time is real.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { databaseProber } from '../../lambdas/engines/prober.ts';
import { postgresAdmin } from '../../lambdas/engines/postgres/admin.ts';
import { failover } from '../../lambdas/failover/steps.ts';
import { EMPTY_LEDGER } from '../../lambdas/model/ledger.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import { synchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import { runStep } from '../../lambdas/recovery/step.ts';
import type { StepEvent } from '../../lambdas/recovery/step.ts';
import { failoverDefinition } from '../../lib/workflows/failover.ts';
import { FakeAws, WRITER_GROUP, aSpec, fakeCloud } from '../fakes/index.ts';
import { runMachine } from '../support/asl.ts';
import type { Run } from '../support/asl.ts';
import { ACCOUNTS, eventually, postgresServers } from '../support/postgres/servers.ts';
import type { PostgresServer, ServerSet } from '../support/postgres/servers.ts';
import { postgresEngine } from '../support/postgres-world.ts';

const clock = { nowMs: () => Date.now(), sleep: (ms: number) => pause(ms) };
const definition = failoverDefinition({ functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:failover' });

let set: ServerSet;
let nodes: readonly PostgresServer[];
let aws: FakeAws;
let cloud: ReturnType<typeof cloudOf>;
let clients: Clients;

const cloudOf = (fakes: FakeAws) => ({
  ...fakeCloud(fakes),
  clock,
  prober: databaseProber(),
  admin: postgresAdmin(),
});

/** One client a node: each writes what nobody wrote before, as fast as its node acknowledges, and remembers that it did. */
class Clients {
  readonly acknowledged: { readonly n: number; readonly node: string; readonly atMs: number }[] = [];
  #over = false;
  #next = 0;
  readonly #running: Promise<void>[] = [];

  start(servers: readonly PostgresServer[]): void {
    this.#running.push(...servers.map((s) => this.#write(s)));
  }

  async #write(server: PostgresServer): Promise<void> {
    while (!this.#over) {
      const { user, password } = ACCOUNTS.app;
      const client = new pg.Client({
        host: server.address,
        port: server.port,
        user,
        password,
        database: 'app',
        connectionTimeoutMillis: 500,
      });
      client.on('error', () => undefined);
      try {
        await client.connect();
        while (!this.#over) {
          const n = (this.#next += 1);
          const timeout = pause(1500).then(() => Promise.reject(new Error('no answer')));
          timeout.catch(() => undefined);
          await Promise.race([client.query('INSERT INTO journal VALUES ($1)', [n]), timeout]);
          this.acknowledged.push({ n, node: server.id, atMs: Date.now() });
        }
      } catch {
        await pause(20); // a standby, or a node that is not there: tried again
      } finally {
        void client.end().catch(() => undefined);
      }
    }
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#running);
  }
}

beforeEach(async () => {
  set = await postgresServers();
  const primary = await set.primary('127.83.1.1');
  const standbys = await Promise.all(['127.83.1.2', '127.83.1.3'].map((address) => set.standby(address, primary)));
  nodes = [primary, ...standbys];
  await primary.sql('CREATE TABLE journal (n int); GRANT ALL ON journal TO PUBLIC', { database: 'app' });
  const quorum = { need: 1, standbys: standbys.map((s) => s.id) };
  const names = synchronousStandbyNames(quorum);
  await primary.sql(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
  await primary.sql('SELECT pg_reload_conf()');
  aws = new FakeAws();
  const spec = aSpec({ engine: postgresEngine() });
  aws.addCluster(spec, ACCOUNTS.plane);
  for (const s of nodes) aws.addInstance({ id: s.id, cluster: spec.name, privateIp: s.address });
  aws.ledgers.set(spec.name, {
    ...EMPTY_LEDGER,
    epoch: 1,
    writer: primary.id,
    sync: { sets: [quorum], barrierLsn: null },
  });
  aws.after = (call) => {
    const { writer } = aws.ledgers.get(spec.name) ?? EMPTY_LEDGER;
    if (call.operation === 'ReconcileRequests.send' && writer !== null)
      aws.setTarget(WRITER_GROUP, writer, 5432, 'healthy');
  };
  cloud = cloudOf(aws);
  clients = new Clients();
});

afterEach(async () => {
  await clients.stop();
  await cloud.admin.close();
  await cloud.prober.close();
  await set.dispose();
});

const node = (index: number): PostgresServer => {
  const found = nodes[index];
  if (found === undefined) throw new Error(`there is no node ${index}`);
  return found;
};

async function failOver(onPromote: () => Promise<void> = () => Promise.resolve()): Promise<Run> {
  const { admin } = cloud;
  const promote = admin.promote.bind(admin);
  let first = true;
  const hooked = {
    ...admin,
    promote: async (...args: Parameters<typeof promote>) => {
      if (first) await onPromote();
      first = false;
      return promote(...args);
    },
  };
  return runMachine(
    {
      definition,
      executionArn: 'arn:aws:states:eu-west-1:123456789012:execution:failover:orders-1',
      clock,
      invoke: (payload) => runStep(failover, payload as unknown as StepEvent, { ...cloud, admin: hooked }),
    },
    { cluster: 'orders', incident: 'i-1', mode: 'failover', node: node(0).id, reason: 'the primary is lost' },
  );
}

const writer = (): PostgresServer => {
  const id = aws.ledgers.get('orders')?.writer;
  const found = nodes.find((s) => s.id === id);
  if (found === undefined) throw new Error(`the writer is ${id ?? 'nobody'}`);
  return found;
};

/** Everything that a client was told of is on the new primary, and nobody else told a client anything after it had begun. */
async function expectNothingLost(): Promise<void> {
  await clients.stop();
  const rows = new Set((await writer().sql('SELECT n FROM journal', { database: 'app' })).split('\n').map(Number));
  expect(clients.acknowledged.filter(({ n }) => !rows.has(n))).toEqual([]);
  const begun = clients.acknowledged.findIndex((a) => a.node === writer().id);
  expect(begun).toBeGreaterThan(0);
  expect([...new Set(clients.acknowledged.slice(begun).map((a) => a.node))]).toEqual([writer().id]);
}

const more = (count: number): Promise<unknown> => {
  const before = clients.acknowledged.length;
  return eventually('writes go on', 20, () =>
    Promise.resolve(clients.acknowledged.length > before + count ? true : undefined),
  );
};

describe('the failover of a real cluster under load', () => {
  it('of a primary that hangs, and goes on when another is the primary', async () => {
    clients.start(nodes);
    await more(50);
    await node(0).freeze();
    const startedMs = Date.now();
    const thawed = eventually('a new primary', 20, () => Promise.resolve(writer() !== node(0) ? true : undefined)).then(
      () => node(0).thaw(),
    );
    const ended = await failOver();
    await thawed;
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    await more(50);
    const first = clients.acknowledged.find((a) => a.node === writer().id);
    // About half a second on an idle machine; this one may have other things to do.
    expect((first?.atMs ?? 0) - startedMs).toBeLessThan(10_000);
    await expectNothingLost();
    const other = node(writer() === node(1) ? 2 : 1);
    expect(await writer().sql(`SELECT state FROM pg_stat_replication WHERE application_name = '${other.id}'`)).toBe(
      'streaming',
    );
    expect(await writer().sql('SELECT slot_name FROM pg_replication_slots WHERE active')).toBe(slotOf(other.id));
  });

  it('of a primary that is killed, with a candidate that dies when it is to be promoted: the next one has what that had', async () => {
    clients.start(nodes);
    await more(50);
    await node(0).kill();
    let chosen: PostgresServer | undefined;
    const ended = await failOver(async () => {
      chosen = writer();
      const other = node(chosen === node(1) ? 2 : 1);
      const place = 'SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())';
      const has = await chosen.sql(place);
      await eventually('the other standby has what the candidate has', 20, async () =>
        (await other.sql(`SELECT (${place}) >= '${has}'::pg_lsn`)) === 't' ? true : undefined,
      );
      await chosen.kill();
      // Its host is gone too.
      aws.setState(chosen.id, 'terminated');
      aws.setState(node(0).id, 'terminated');
    });
    expect(ended.status, JSON.stringify([ended.errors, [...(aws.incidents.get('orders/i-1')?.values() ?? [])]])).toBe(
      'SUCCEEDED',
    );
    expect(writer()).not.toBe(chosen);
    await more(50);
    await expectNothingLost();
  });
});
