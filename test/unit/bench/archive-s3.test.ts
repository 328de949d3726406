import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keysIn, partsIn, rangeOf, targetOf } from '../../../bench/archive/s3/answers.ts';
import { s3Listener } from '../../../bench/archive/s3/server.ts';
import { Store } from '../../../bench/archive/s3/store.ts';

describe("S3's requests", () => {
  it('have a bucket, a key and a query', () => {
    const { bucket, key, query } = targetOf('/b/a%2Cb/c~1+2?uploadId=x%2By+z&partNumber=3');
    expect([bucket, key, query.get('uploadId'), query.get('partNumber')]).toEqual(['b', 'a,b/c~1+2', 'x+y+z', '3']);
    expect(targetOf('/b?list-type=2')).toMatchObject({ bucket: 'b', key: '' });
  });

  it.each([
    ['bytes=0-4', { from: 0, to: 4 }],
    ['bytes=5-', { from: 5, to: 9 }],
    ['bytes=-3', { from: 7, to: 9 }],
    ['bytes=8-100', { from: 8, to: 9 }],
    ['bytes=10-12', null],
    ['lines=1-2', null],
  ])('ask for %s of ten bytes', (header, range) => {
    expect(rangeOf(header, 10)).toEqual(range);
  });

  it('name parts and keys in XML, in any order of their elements', () => {
    const xml =
      '<X><Part><ETag>&quot;a&quot;</ETag><PartNumber>2</PartNumber></Part><Part><PartNumber>1</PartNumber><ETag>"b"</ETag></Part></X>';
    expect(partsIn(xml)).toEqual([
      { number: 2, etag: '"a"' },
      { number: 1, etag: '"b"' },
    ]);
    expect(keysIn('<Delete><Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object></Delete>')).toEqual([
      'a&b',
      'c',
    ]);
  });
});

describe('the local S3 server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rejoin-bench-test-'));
  let server: Server;
  const call = (method: string, path: string, body: string | null = null, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`, { method, body, headers });

  beforeAll(async () => {
    server = createServer(s3Listener(new Store(folder), () => undefined)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    await call('PUT', 'b');
  });
  afterAll(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  it('keeps what is put, whole and in ranges, and overwrites nothing when asked not to', async () => {
    expect((await call('PUT', 'b/one', '0123456789', { 'if-none-match': '*' })).status).toBe(200);
    expect((await call('PUT', 'b/one', 'other', { 'if-none-match': '*' })).status).toBe(412);
    expect(await (await call('GET', 'b/one')).text()).toBe('0123456789');
    const part = await call('GET', 'b/one', null, { range: 'bytes=2-4' });
    expect([part.status, await part.text()]).toEqual([206, '234']);
    expect((await call('HEAD', 'b/one')).headers.get('content-length')).toBe('10');
    expect((await call('GET', 'b/two')).status).toBe(404);
    expect((await call('GET', 'nobucket/two')).status).toBe(404);
  });

  it('puts parts together in the order in which they are named, and gives ranges across them', async () => {
    const xml = await (await call('POST', 'b/large?uploads')).text();
    const id = /<UploadId>(.*)<\/UploadId>/.exec(xml)?.[1] ?? '';
    const etags = new Map<number, string>();
    for (const [number, body] of [[2, 'def'] as const, [1, 'abc'] as const, [3, 'left out'] as const]) {
      const answer = await call('PUT', `b/large?partNumber=${number}&uploadId=${id}`, body);
      etags.set(number, answer.headers.get('etag') ?? '');
    }
    const wanted = [1, 2].map((n) => `<Part><PartNumber>${n}</PartNumber><ETag>${etags.get(n)}</ETag></Part>`).join('');
    const wrong = wanted.replace('<PartNumber>1<', '<PartNumber>7<');
    expect((await call('POST', `b/large?uploadId=${id}`, `<C>${wrong}</C>`)).status).toBe(400);
    expect((await call('GET', 'b/large')).status).toBe(404);
    expect((await call('POST', `b/large?uploadId=${id}`, `<C>${wanted}</C>`)).status).toBe(200);
    expect(await (await call('GET', 'b/large')).text()).toBe('abcdef');
    expect(await (await call('GET', 'b/large', null, { range: 'bytes=2-3' })).text()).toBe('cd');
    expect((await call('POST', `b/large?uploadId=${id}`, `<C>${wanted}</C>`)).status).toBe(404);
  });

  it('lists in pages, in order, from a key on, and folders at a delimiter', async () => {
    for (const key of ['l/a', 'l/b/1', 'l/b/2', 'l/c', 'm']) await call('PUT', `b/${key}`, key);
    const names = async (query: string, from = ''): Promise<string[]> => {
      const xml = await (await call('GET', `b?list-type=2&${query}${from}`)).text();
      const token = /<NextContinuationToken>(.*)<\/NextContinuationToken>/.exec(xml)?.[1];
      const page = [...xml.matchAll(/<(?:Key|CommonPrefixes><Prefix)>([^<]*)</g)].map((m) => m[1] ?? '');
      return token === undefined ? page : [...page, ...(await names(query, `&continuation-token=${token}`))];
    };
    expect(await names('prefix=l/&max-keys=1')).toEqual(['l/a', 'l/b/1', 'l/b/2', 'l/c']);
    expect(await names('prefix=l/&start-after=l/b/1')).toEqual(['l/b/2', 'l/c']);
    expect((await names('prefix=l/&delimiter=/&max-keys=1')).sort()).toEqual(['l/a', 'l/b/', 'l/c']);
  });

  it('refuses what it does not know, and leaves no file of what is removed', async () => {
    const chunked = { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' };
    expect((await call('PUT', 'b/chunked', '5\r\nhello', chunked)).status).toBe(501);
    expect((await call('DELETE', 'b')).status).toBe(204);
    expect((await call('GET', 'b/one')).status).toBe(404);
    expect(readdirSync(folder)).toEqual([]);
  });
});
