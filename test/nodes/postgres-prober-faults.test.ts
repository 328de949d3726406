import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/postgres/servers.ts';
import { probing, servers } from '../support/postgres/probing.ts';

const HOST = '127.81.2.1';
const LOGIN = { user: 'rejoin', password: 'very-secret' };
const { prober, timed, target } = probing();
const { serve, hangUp } = servers(HOST);

/** A message of the protocol: type, length (which counts itself), payload. */
const message = (type: string, payload: Buffer | string): Buffer => {
  const body = Buffer.from(payload as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
};

const authentication = (code: number, rest: Buffer | string = ''): Buffer =>
  message('R', Buffer.concat([Buffer.from([0, 0, 0, code]), Buffer.from(rest as string)]));

const error = (sqlState: string, text: string): Buffer => message('E', `SFATAL\0VFATAL\0C${sqlState}\0M${text}\0\0`);

const OK = authentication(0);
const READY = message('Z', 'I');
const SCRAM = authentication(10, 'SCRAM-SHA-256\0\0');
const row = (text: string): Buffer => {
  const value = Buffer.from(text);
  const head = Buffer.alloc(6);
  head.writeUInt16BE(1);
  head.writeUInt32BE(value.length, 2);
  return message('D', Buffer.concat([head, value]));
};
const COLUMN = message(
  'T',
  Buffer.concat([
    Buffer.from([0, 1]),
    Buffer.from('c\0'),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]),
  ]),
);
const DONE = Buffer.concat([message('C', 'SELECT 1\0'), READY]);

/** Answers each thing that it hears with the next of these. */
const asking =
  (...answers: readonly Buffer[]) =>
  (socket: Socket): void => {
    const left = [...answers];
    socket.on('data', () => socket.write(left.shift() ?? ''));
  };
const welcome = Buffer.concat([OK, READY]);

describe('the prober on what is no healthy PostgreSQL', () => {
  it.each([
    ['accepts and says nothing', () => undefined, 'silent', /said nothing more within 1000 ms/],
    ['accepts and closes', (socket: Socket) => socket.end(), 'silent', /closes them without a word/],
    ['accepts and resets', (socket: Socket) => socket.resetAndDestroy(), 'silent', /closes them without a word/],
    ['is full', asking(error('53300', 'sorry, too many clients already')), 'rejected', /53300 sorry, too many clients/],
    [
      'starts up',
      asking(error('57P03', 'the database system is starting up')),
      'rejected',
      /57P03 the database system is starting up/,
    ],
    [
      'cannot fork',
      (socket: Socket) => socket.end('Ecould not fork new process for connection\n\0'),
      'rejected',
      /could not fork new process/,
    ],
    [
      'speaks another protocol',
      (socket: Socket) => socket.write('SSH-2.0-OpenSSH_9.2p1\r\n'),
      'rejected',
      /does not speak as PostgreSQL does: it begins with 5353482d32/,
    ],
    [
      'answers in HTTP',
      asking(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
      'rejected',
      /does not speak as PostgreSQL does/,
    ],
    ['begins with a message without end', asking(Buffer.from('R\xff\xff\xff\xff', 'latin1')), 'rejected', /has no end/],
    [
      'asks for Kerberos',
      asking(authentication(7)),
      'rejected',
      /does not speak as PostgreSQL does: Unknown authentication/,
    ],
    [
      'asks for the password in clear',
      asking(authentication(3)),
      'rejected',
      /asks for the password in clear; expected scram-sha-256/,
    ],
    ['asks for MD5', asking(authentication(5, 'salt')), 'rejected', /asks for an MD5 password; expected scram-sha-256/],
    ['asks for another SASL', asking(authentication(10, 'OTHER\0\0')), 'rejected', /SCRAM-SHA-256 are supported/],
    [
      'proves nothing of itself',
      asking(SCRAM, authentication(11, 'r=x,s=AAAA,i=4096')),
      'rejected',
      /nonce does not start with client nonce/,
    ],
    ['begins an answer and says no more', asking(SCRAM.subarray(0, 7)), 'silent', /said nothing more/],
    ['greets and closes', (socket: Socket) => socket.end(welcome), 'silent', /closes them without a word/],
    [
      'refuses the statement',
      asking(welcome, error('42501', 'permission denied')),
      'rejected',
      /42501 permission denied; run nodes\/postgres\/setup\.sql/,
    ],
    ['answers without rows', asking(welcome, DONE), 'rejected', /with 0 rows; expected one/],
    [
      'answers what is no JSON',
      asking(welcome, Buffer.concat([COLUMN, row('{'), DONE])),
      'rejected',
      /its status is no JSON/,
    ],
    [
      'answers another JSON',
      asking(welcome, Buffer.concat([COLUMN, row('{"inRecovery":1}'), DONE])),
      'rejected',
      /its status is not as expected at inRecovery/,
    ],
  ] as const)('a server that %s', async (_, onConnection, kind, words) => {
    const port = await serve(onConnection);
    const probe = await timed(prober().probe(target(HOST, port), LOGIN));
    expect(probe.kind, JSON.stringify(probe)).toBe(kind);
    expect('detail' in probe && probe.detail).toMatch(words);
  });

  it('a host that does not answer the connection attempt is unreachable', async () => {
    // A socket that never connects: on loopback nothing drops packets.
    expect(await timed(prober({ connect: () => new Socket() }).probe(target('10.255.255.1'), LOGIN))).toMatchObject({
      kind: 'unreachable',
      detail: expect.stringContaining('within 1000 ms') as string,
    });
  });

  it.each(['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'])('%s is unreachable', async (code) => {
    const connect = (): Socket => {
      const socket = new Socket();
      process.nextTick(() => socket.destroy(Object.assign(new Error(code), { code })));
      return socket;
    };
    expect(await timed(prober({ connect }).probe(target('10.0.0.1'), LOGIN))).toMatchObject({
      kind: 'unreachable',
      detail: expect.stringContaining(code) as string,
    });
  });

  it.each([
    ['no-such-host.invalid', 5432],
    ['127.0.0.1', 99_999],
  ])('%s:%i is unreachable, and nothing is thrown', async (host, port) => {
    expect(await timed(prober().probe(target(host, port), LOGIN))).toMatchObject({ kind: 'unreachable' });
  });

  it('closing ends a probe that is under way', async () => {
    const port = await serve(() => undefined);
    const p = prober();
    const from = performance.now();
    const running = p.probe(target(HOST, port), LOGIN);
    await p.close();
    expect((await running).kind).toBe('silent');
    expect(performance.now() - from).toBeLessThan(500);
  });

  it.each([
    ['says nothing', undefined, () => undefined],
    ['closes', undefined, (socket: Socket) => socket.end()],
    ['asks for a password and says no more', undefined, asking(SCRAM)],
    ['says no more when asked for TLS', 'required', () => undefined],
    ['agrees to TLS and says no more', 'required', asking(Buffer.from('S'))],
    ['ends TLS before it began', 'required', (socket: Socket) => socket.once('data', () => socket.end('S'))],
  ] as const)('leaves no socket and no timer behind at a server that %s', async (_, tls, onConnection) => {
    const port = await serve(onConnection);
    const handles = (): number =>
      process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name)).length;
    const before = handles();
    const p = prober({ deadlineMs: 50 });
    await Promise.all(Array.from({ length: 20 }, () => p.probe(target(HOST, port, tls), LOGIN)));
    await p.close();
    await eventually('the handles gone', 5, async () => {
      hangUp(); // also what was accepted only now
      return handles() <= before ? true : undefined;
    });
  });

  it('never sends the password, whatever a server asks for', async () => {
    const heard: Buffer[] = [];
    for (const asks of [authentication(3), authentication(5, 'salt'), authentication(7), SCRAM]) {
      const answer = asking(asks);
      const port = await serve((socket) => {
        socket.on('data', (chunk) => heard.push(chunk));
        answer(socket);
      });
      await prober({ deadlineMs: 200 }).probe(target(HOST, port), LOGIN);
    }
    const all = Buffer.concat(heard).toString('latin1');
    expect(all).toContain('SCRAM-SHA-256');
    expect(all).toContain(LOGIN.user);
    expect(all).not.toContain(LOGIN.password);
    expect(all).not.toContain('md5');
  });

  it.each([
    ['N', /offers no TLS, which the specification requires/],
    ['E', /does not speak as PostgreSQL does: There was an error establishing an SSL connection/],
    ['Sx', /does not speak as PostgreSQL does: There was an error establishing an SSL connection/],
  ])(
    'a server that answers %s to the request for TLS is rejected, before it has heard the account',
    async (byte, words) => {
      const heard: Buffer[] = [];
      const port = await serve((socket) => {
        socket.on('data', (chunk) => {
          heard.push(chunk);
          socket.write(byte);
        });
      });
      expect(await timed(prober().probe(target(HOST, port, 'required'), LOGIN))).toMatchObject({
        kind: 'rejected',
        detail: expect.stringMatching(words) as string,
      });
      expect(Buffer.concat(heard).toString('hex')).toBe('0000000804d2162f');
    },
  );
});
