import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LendingSocket, lendingConnect } from '../../../lambdas/engines/lending-socket.ts';

describe('a socket that lends what it reads', () => {
  let server: Server;
  let far: Socket;
  let near: LendingSocket;

  beforeEach(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    near = lendingConnect('127.0.0.1', (server.address() as AddressInfo).port);
    [far] = await accepted;
  });
  afterEach(() => {
    near.destroy();
    far.destroy();
    server.close();
  });

  const nextChunk = async (): Promise<Buffer> => {
    const [chunk] = (await once(near, 'data')) as [Buffer];
    return chunk;
  };

  it('gives chunks away until it is told to lend them', async () => {
    far.write('first');
    const first = await nextChunk();
    far.write('other');
    const other = await nextChunk();
    expect([first, other].map(String)).toEqual(['first', 'other']);

    near.lend();
    far.write('lent 1');
    const lent = await nextChunk();
    expect(String(lent)).toBe('lent 1');
    far.write('lent 2');
    await nextChunk();
    expect(String(lent)).toBe('lent 2'); // the same memory
    expect(String(first)).toBe('first');
  });

  it('reads no more while it is paused, so that the sender waits, and loses nothing of it', async () => {
    const sent = Buffer.alloc(64 * 2 ** 20, 'x');
    let received = 0;
    near.lend();
    near.on('data', (chunk: Buffer) => (received += chunk.length));
    near.pause();
    let flushed = false;
    far.write(sent, () => (flushed = true));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(received).toBeLessThan(sent.length / 4);
    expect(flushed).toBe(false);
    near.resume();
    far.end();
    await once(near, 'close');
    expect(received).toBe(sent.length);
  });

  it('tells that the other side has closed', async () => {
    near.on('data', () => undefined);
    far.end();
    await once(near, 'end');
    await once(near, 'close');
  });
});
