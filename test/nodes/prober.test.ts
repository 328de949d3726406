import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freeze, signal } from '../../rehearsal/cloud/hosts-processes.ts';
import { ACCOUNTS } from '../../rehearsal/host/galera-host.ts';
import { eventually, type Host, type HostSet, makeHosts, must, startCluster } from '../support/galera/hosts.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import type { GaleraStatus } from '../../lambdas/model/galera.ts';
import { DEADLINE_MS, probing } from '../support/galera/probing.ts';

const { prober, timed, target } = probing();

/** What a Galera node answered; null when it did not. */
const galera = (probe: Probe): GaleraStatus | null =>
  probe.kind === 'answered' && probe.status.engine === 'galera' ? probe.status : null;

describe('the prober on real nodes', () => {
  let set: HostSet;
  let a: Host;
  let b: Host;
  let c: Host;

  beforeAll(async () => {
    set = await makeHosts({ octet: 206, count: 3 });
    [a, b, c] = set.hosts as [Host, Host, Host];
    await startCluster(set.hosts);
  });
  afterAll(() => set.dispose());

  it('sees synced nodes, with their members, all at once, with an account that may read the log and nothing else', async () => {
    expect(await a.sql(`SHOW GRANTS FOR '${ACCOUNTS.probe.user}'@'%'`)).toMatch(
      /^GRANT REPLICATION SLAVE, BINLOG MONITOR ON \*\.\* [^\n]*$/,
    );
    const p = prober();
    const probes = await Promise.all(set.hosts.map((host) => timed(p.probe(target(host.address), ACCOUNTS.probe))));
    for (const [i, probe] of probes.entries()) {
      expect(probe, JSON.stringify(probe)).toMatchObject({
        kind: 'answered',
        status: {
          engine: 'galera',
          ready: true,
          state: 'Synced',
          component: 'Primary',
          clusterSize: 3,
          readOnly: false,
          nodeName: set.hosts[i]?.id,
        },
      });
      const status = galera(probe);
      expect([...(status?.members ?? [])].sort()).toEqual([a.address, b.address, c.address]);
      expect(status?.viewId).toBeGreaterThan(0);
      expect(status?.seqno).toBeGreaterThan(0);
      expect(status?.stateUuid).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it('keeps one connection a node, and opens another when that one was killed', async () => {
    const p = prober();
    const connections = async (): Promise<string> =>
      a.sql(`SELECT GROUP_CONCAT(id) FROM information_schema.processlist WHERE user = '${ACCOUNTS.probe.user}'`);
    await p.probe(target(a.address), ACCOUNTS.probe);
    const first = await connections();
    expect(first).toMatch(/^\d+$/);
    await p.probe(target(a.address), ACCOUNTS.probe);
    expect(await connections()).toBe(first);
    await a.sql(`KILL ${first}`);
    expect(await timed(p.probe(target(a.address), ACCOUNTS.probe))).toMatchObject({ kind: 'answered' });
    expect(await connections()).not.toBe(first);
    await p.close();
    await eventually('no connection left', 5, async () => ((await connections()) === 'NULL' ? true : undefined));
  });

  it('reports read_only', async () => {
    await c.sql('SET GLOBAL read_only = ON');
    expect(await prober().probe(target(c.address), ACCOUNTS.probe)).toMatchObject({
      kind: 'answered',
      status: { readOnly: true },
    });
    await c.sql('SET GLOBAL read_only = OFF');
  });

  it('is rejected with a wrong password, and says by whom', async () => {
    const probe = await timed(prober().probe(target(a.address), { user: ACCOUNTS.probe.user, password: 'wrong' }));
    expect(probe).toMatchObject({
      kind: 'rejected',
      detail: expect.stringMatching(/127\.206\.0\.1:3306 refuses the probe: 1045 Access denied/) as string,
    });
  });

  it('finds nobody listening', async () => {
    expect(await timed(prober().probe(target(a.address, 3999), ACCOUNTS.probe))).toMatchObject({ kind: 'refused' });
  });

  it.each([
    ['with a kept connection', true],
    ['for the first time', false],
  ])('finds a frozen process silent, probed %s', async (_, warm) => {
    const p = prober();
    if (warm) expect(await p.probe(target(c.address), ACCOUNTS.probe)).toMatchObject({ kind: 'answered' });
    const pid = await c.pid();
    await freeze([pid]);
    try {
      const probe = await timed(p.probe(target(c.address), ACCOUNTS.probe));
      expect(probe.kind, JSON.stringify(probe)).toBe('silent');
      if (probe.kind === 'silent') expect(probe.tookMs).toBeGreaterThanOrEqual(DEADLINE_MS - 1);
    } finally {
      signal(pid, 'SIGCONT');
    }
    await eventually('an answer again', 20, async () =>
      (await p.probe(target(c.address), ACCOUNTS.probe)).kind === 'answered' ? true : undefined,
    );
  });

  it('sees a joiner on its way', async () => {
    await must(c.script('stop'));
    expect(await timed(prober().probe(target(c.address), ACCOUNTS.probe))).toMatchObject({ kind: 'refused' });
    const p = prober();
    await must(c.script('join', { PEERS: `${a.address},${b.address}`, DONOR: b.id }));
    const seen = new Set<string>();
    await eventually('the joiner synced', 30, async () => {
      const probe = await timed(p.probe(target(c.address), ACCOUNTS.probe));
      const status = galera(probe);
      seen.add(status?.state ?? probe.kind);
      return status?.state === 'Synced' && status.ready ? true : undefined;
    });
    for (const state of seen) expect(['refused', 'Undefined', 'Joining', 'Joined', 'Synced']).toContain(state);
  });

  it('sees the rest without quorum when two of three are killed, over the kept connection and over a new one', async () => {
    const kept = prober();
    await kept.probe(target(a.address), ACCOUNTS.probe);
    for (const host of [b, c]) signal(await host.pid(), 'SIGKILL');
    expect(await timed(kept.probe(target(b.address), ACCOUNTS.probe))).toMatchObject({ kind: 'refused' });
    for (const p of [kept, prober()]) {
      const status = await eventually('a non-primary node', 30, async () => {
        const found = await timed(p.probe(target(a.address), ACCOUNTS.probe));
        const status = galera(found);
        return status?.component === 'Non-Primary' ? status : undefined;
      });
      expect(status).toMatchObject({ ready: false, viewId: -1, state: 'Undefined', nodeName: a.id });
    }
    const refused = await a.script('bootstrap', { STATE_UUID: '00000000-0000-0000-0000-000000000001', SEQNO: '1' });
    expect(refused.code).toBe(12);
    expect(await must(a.script('position'))).toMatchObject({ running: true, component: 'Non-Primary' });
  });
});
