import { createServer, Socket, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { galeraProber } from '../../lambdas/engines/galera/prober.ts';
import type { Prober } from '../../lambdas/cloud/ports.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import { signal } from '../../rehearsal/cloud/hosts-processes.ts';
import { ACCOUNTS } from '../../rehearsal/host/galera-host.ts';
import { eventually, type Host, type HostSet, makeHosts, must, startCluster } from '../support/galera/hosts.ts';

const DEADLINE_MS = 2000;
const GRACE_MS = 100;
const target = (host: string, port = 3306) => ({ instanceId: 'i-1', host, port });

const probers: Prober[] = [];
const prober = (options: Parameters<typeof galeraProber>[0] = {}): Prober => {
  const made = galeraProber(options);
  probers.push(made);
  return made;
};
afterEach(async () => {
  await Promise.all(probers.splice(0).map((p) => p.close()));
});

/** Every probe is held to its deadline. */
const timed = async (running: Promise<Probe>): Promise<Probe> => {
  const from = performance.now();
  const probe = await running;
  expect(performance.now() - from).toBeLessThan(DEADLINE_MS + GRACE_MS);
  return probe;
};

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

  it('sees synced nodes, with their members, all at once, with an account that has no privilege', async () => {
    expect(await a.sql(`SHOW GRANTS FOR '${ACCOUNTS.probe.user}'@'%'`)).toMatch(/^GRANT USAGE ON \*\.\* [^\n]*$/);
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
      if (probe.kind !== 'answered') continue;
      expect([...probe.status.members].sort()).toEqual([a.address, b.address, c.address]);
      expect(probe.status.viewId).toBeGreaterThan(0);
      expect(probe.status.seqno).toBeGreaterThan(0);
      expect(probe.status.stateUuid).toMatch(/^[0-9a-f-]{36}$/);
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
    signal(pid, 'SIGSTOP');
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
      seen.add(probe.kind === 'answered' ? probe.status.state : probe.kind);
      return probe.kind === 'answered' && probe.status.state === 'Synced' && probe.status.ready ? true : undefined;
    });
    for (const state of seen) expect(['refused', 'Undefined', 'Joining', 'Joined', 'Synced']).toContain(state);
  });

  it('sees the rest without quorum when two of three are killed, over the kept connection and over a new one', async () => {
    const kept = prober();
    await kept.probe(target(a.address), ACCOUNTS.probe);
    for (const host of [b, c]) signal(await host.pid(), 'SIGKILL');
    expect(await timed(kept.probe(target(b.address), ACCOUNTS.probe))).toMatchObject({ kind: 'refused' });
    for (const p of [kept, prober()]) {
      const probe = await eventually('a non-primary node', 30, async () => {
        const found = await timed(p.probe(target(a.address), ACCOUNTS.probe));
        return found.kind === 'answered' && found.status.component === 'Non-Primary' ? found : undefined;
      });
      expect(probe.status).toMatchObject({ ready: false, viewId: -1, state: 'Undefined', nodeName: a.id });
    }
    const refused = await a.script('bootstrap', { STATE_UUID: '00000000-0000-0000-0000-000000000001', SEQNO: '1' });
    expect(refused.code).toBe(12);
    expect(await must(a.script('position'))).toMatchObject({ running: true, component: 'Non-Primary' });
  });
});

describe('the prober on what is no healthy server', () => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const serve = async (onConnection: (socket: Socket) => void): Promise<number> => {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined); // a reset by the prober is what is tested
      onConnection(socket);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.206.1.1', resolve));
    return (server.address() as { port: number }).port;
  };
  afterEach(async () => {
    sockets.forEach((socket) => socket.destroy());
    sockets.clear();
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  });

  const frame = (payload: Buffer): Buffer => Buffer.concat([Buffer.from([payload.length, 0, 0, 0]), payload]);
  const serverError = (errno: number, text: string): Buffer =>
    frame(Buffer.concat([Buffer.from([0xff, errno & 0xff, errno >> 8]), Buffer.from(text)]));

  it.each([
    ['accepts and says nothing', () => undefined, 'silent', /said nothing/],
    ['accepts and closes', (socket: Socket) => socket.end(), 'silent', /closes them without a word/],
    ['accepts and resets', (socket: Socket) => socket.resetAndDestroy(), 'silent', /closes them without a word/],
    [
      'has too many connections',
      (socket: Socket) => socket.end(serverError(1040, 'Too many connections')),
      'rejected',
      /1040 Too many/,
    ],
    ['has blocked us', (socket: Socket) => socket.end(serverError(1129, 'Host is blocked')), 'rejected', /1129/],
    [
      'speaks another protocol',
      (socket: Socket) => socket.write('SSH-2.0-OpenSSH_9.2p1 Debian\r\n'),
      'rejected',
      /does not speak as MariaDB does/,
    ],
    [
      'greets with rubbish',
      (socket: Socket) => socket.write(frame(Buffer.alloc(60, 3))),
      'rejected',
      /does not speak as MariaDB does/,
    ],
  ] as const)('a server that %s', async (_, onConnection, kind, words) => {
    const port = await serve(onConnection);
    const probe = await timed(prober().probe(target('127.206.1.1', port), ACCOUNTS.probe));
    expect(probe.kind).toBe(kind);
    expect('detail' in probe && probe.detail).toMatch(words);
  });

  it('a host that does not answer the connection attempt is unreachable', async () => {
    // A socket that never connects: on loopback nothing drops packets.
    const p = prober({ connect: () => new Socket() });
    expect(await timed(p.probe(target('10.255.255.1'), ACCOUNTS.probe))).toMatchObject({
      kind: 'unreachable',
      detail: expect.stringContaining('within 2000 ms') as string,
    });
  });

  it.each(['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'])('%s is unreachable', async (code) => {
    const connect = (): Socket => {
      const socket = new Socket();
      process.nextTick(() => socket.destroy(Object.assign(new Error(code), { code })));
      return socket;
    };
    expect(await timed(prober({ connect }).probe(target('10.0.0.1'), ACCOUNTS.probe))).toMatchObject({
      kind: 'unreachable',
      detail: expect.stringContaining(code) as string,
    });
  });

  it.each([
    ['no-such-host.invalid', 3306],
    ['127.0.0.1', 99_999],
  ])('%s:%i is unreachable, and nothing is thrown', async (host, port) => {
    expect(await timed(prober().probe(target(host, port), ACCOUNTS.probe))).toMatchObject({ kind: 'unreachable' });
  });

  it('closing ends a probe that is under way', async () => {
    const port = await serve(() => undefined);
    const p = prober();
    const from = performance.now();
    const running = p.probe(target('127.206.1.1', port), ACCOUNTS.probe);
    await p.close();
    expect((await running).kind).toBe('silent');
    expect(performance.now() - from).toBeLessThan(500);
  });

  it('leaves no socket and no timer behind', async () => {
    const port = await serve(() => undefined);
    const handles = (): number => process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name)).length;
    const before = handles();
    const p = prober({ deadlineMs: 50 });
    await Promise.all(Array.from({ length: 20 }, () => p.probe(target('127.206.1.1', port), ACCOUNTS.probe)));
    await p.close();
    sockets.forEach((socket) => socket.destroy());
    await eventually('the handles gone', 5, async () => (handles() <= before ? true : undefined));
  });
});
