import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ACCOUNTS } from '../../rehearsal/host/galera-host.ts';
import { eventually } from '../support/galera/hosts.ts';
import { probing, servers } from '../support/galera/probing.ts';

const HOST = '127.206.1.1';
const { prober, timed, target } = probing();
const { serve, hangUp } = servers(HOST);

/** A packet of the protocol: 3 bytes of length, 1 of sequence, payload. */
const frame = (sequence: number, payload: Buffer): Buffer =>
  Buffer.concat([Buffer.from([payload.length, 0, 0, sequence]), payload]);

const error = (errno: number, text: string, sequence = 0): Buffer =>
  frame(sequence, Buffer.concat([Buffer.from([0xff, errno & 0xff, errno >> 8]), Buffer.from(text)]));

const OK = Buffer.from([0, 0, 0, 2, 0, 0, 0]);
const SALT = Buffer.from('0123456789abcdefghij');

/** As MariaDB 10.11 greets; of its capabilities, the second byte tells whether it has TLS. */
const greeting = (capabilities: number): Buffer =>
  frame(
    0,
    Buffer.concat([
      Buffer.from([10]),
      Buffer.from('5.5.5-10.11.19-MariaDB-deb12\0'),
      Buffer.from([1, 0, 0, 0]),
      SALT.subarray(0, 8),
      Buffer.from([0, 0xfe, capabilities, 45, 2, 0, 0xff, 0x81, 21]),
      Buffer.alloc(10),
      SALT.subarray(8),
      Buffer.from('\0mysql_native_password\0'),
    ]),
  );

const GREETING = greeting(0xf7);
const GREETING_WITH_TLS = greeting(0xff);

const authSwitch = (plugin: string): Buffer =>
  frame(2, Buffer.concat([Buffer.from([0xfe]), Buffer.from(`${plugin}\0`), SALT, Buffer.from([0])]));

/** Greets, and then answers each thing that it hears with the next packet. */
const asking =
  (...answers: readonly Buffer[]) =>
  (socket: Socket): void => {
    const left = [...answers];
    socket.write(GREETING);
    socket.on('data', () => socket.write(left.shift() ?? ''));
  };

describe('the prober on what is no healthy server', () => {
  it.each([
    ['accepts and says nothing', () => undefined, 'silent', /said nothing/],
    ['accepts and closes', (socket: Socket) => socket.end(), 'silent', /closes them without a word/],
    ['accepts and resets', (socket: Socket) => socket.resetAndDestroy(), 'silent', /closes them without a word/],
    [
      'has too many connections',
      (socket: Socket) => socket.end(error(1040, 'Too many connections')),
      'rejected',
      /1040 Too many/,
    ],
    ['has blocked us', (socket: Socket) => socket.end(error(1129, 'Host is blocked')), 'rejected', /1129/],
    [
      'speaks another protocol',
      (socket: Socket) => socket.write('SSH-2.0-OpenSSH_9.2p1 Debian\r\n'),
      'rejected',
      /does not speak as MariaDB does/,
    ],
    [
      'greets with rubbish',
      (socket: Socket) => socket.write(frame(0, Buffer.alloc(60, 3))),
      'rejected',
      /does not speak as MariaDB does/,
    ],
    [
      'greets with rubbish after the first byte',
      (socket: Socket) => socket.write(frame(0, Buffer.from([10, 53, 0, 1]))),
      'rejected',
      /does not speak as MariaDB does/,
    ],
    [
      'greets byte by byte and says no more',
      (socket: Socket) => GREETING.subarray(0, 40).forEach((byte) => socket.write(Buffer.from([byte]))),
      'silent',
      /said nothing more/,
    ],
    ['greets and closes', (socket: Socket) => socket.end(GREETING), 'silent', /closes them without a word/],
    ['asks for ed25519', asking(authSwitch('client_ed25519')), 'rejected', /by client_ed25519; expected an account/],
    ['asks for sha2', asking(authSwitch('caching_sha2_password')), 'rejected', /by caching_sha2_password; expected/],
    [
      'asks for the password',
      asking(authSwitch('mysql_clear_password')),
      'rejected',
      /by mysql_clear_password; expected/,
    ],
    ['refuses the login', asking(error(1045, '#28000Access denied', 2)), 'rejected', /probe: 1045 Access denied$/],
    ['answers a query without rows', asking(frame(2, OK), frame(1, OK)), 'rejected', /it answers without rows/],
  ] as const)('a server that %s', async (_, onConnection, kind, words) => {
    const port = await serve(onConnection);
    const probe = await timed(prober().probe(target(HOST, port), ACCOUNTS.probe));
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
    const running = p.probe(target(HOST, port), ACCOUNTS.probe);
    await p.close();
    expect((await running).kind).toBe('silent');
    expect(performance.now() - from).toBeLessThan(500);
  });

  it.each([
    ['says nothing', undefined, () => undefined],
    ['closes', undefined, (socket: Socket) => socket.end()],
    ['greets and says no more', undefined, (socket: Socket) => socket.write(GREETING)],
    ['greets and says no more when asked for TLS', 'required', (socket: Socket) => socket.write(GREETING_WITH_TLS)],
    ['ends TLS before it began', 'required', asking(GREETING_WITH_TLS)],
  ] as const)('leaves no socket and no timer behind at a server that %s', async (_, tls, onConnection) => {
    const port = await serve(onConnection);
    const handles = (): number =>
      process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name)).length;
    const before = handles();
    const p = prober({ deadlineMs: 50 });
    await Promise.all(Array.from({ length: 20 }, () => p.probe(target(HOST, port, tls), ACCOUNTS.probe)));
    await p.close();
    await eventually('the handles gone', 5, async () => {
      hangUp(); // also what was accepted only now
      return handles() <= before ? true : undefined;
    });
  });

  it('never sends the password, whatever a server asks for', async () => {
    const heard: Buffer[] = [];
    for (const plugin of [
      'mysql_native_password',
      'caching_sha2_password',
      'sha256_password',
      'mysql_clear_password',
    ]) {
      const answer = asking(authSwitch(plugin));
      const port = await serve((socket) => {
        socket.on('data', (chunk) => heard.push(chunk));
        answer(socket);
      });
      await prober({ deadlineMs: 200 }).probe(target(HOST, port), ACCOUNTS.probe);
    }
    expect(heard.length).toBeGreaterThanOrEqual(4);
    expect(Buffer.concat(heard).toString('latin1')).not.toContain(ACCOUNTS.probe.password);
    expect(Buffer.concat(heard).toString('latin1')).toContain(ACCOUNTS.probe.user);
  });

  it('a server without TLS is rejected when TLS is required, before it has heard the account', async () => {
    const heard: Buffer[] = [];
    const port = await serve((socket) => {
      socket.on('data', (chunk) => heard.push(chunk));
      socket.write(GREETING);
    });
    expect(await timed(prober().probe(target(HOST, port, 'required'), ACCOUNTS.probe))).toMatchObject({
      kind: 'rejected',
      detail: expect.stringMatching(/offers no TLS, which the specification requires/) as string,
    });
    expect(heard).toEqual([]);
  });
});
