import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KEYS, startS3 } from '../support/archive/s3.ts';
import type { S3 } from '../support/archive/s3.ts';
import { runCommand } from '../support/galera/hosts.ts';
import type { ScriptResult } from '../support/galera/hosts.ts';

const NODES = fileURLToPath(new URL('../../nodes/', import.meta.url));
const LONG_KEY =
  'orders/7301/binlog/0-1-00000000000000000270,1-5-00000000000000000012_none_0000000000000_i-1~binlog.000001~4.zst';
const UPLOAD = 'VXBs+b2Fk/SUQ=.~_-';

describe('S3 by the shell', () => {
  let s3: S3;
  let dir: string;
  beforeAll(async () => {
    s3 = await startS3();
    dir = await mkdtemp(join(tmpdir(), 'rejoin-s3-'));
  });
  afterAll(async () => {
    await s3.close();
    await rm(dir, { recursive: true, force: true });
  });
  beforeEach(() => {
    s3.requests.length = 0;
    s3.fault = () => null;
  });

  /** Runs shell text with the library loaded; `env` instead of the usual credentials. */
  const shell = (text: string, env: Readonly<Record<string, string>> = s3.env): Promise<ScriptResult> =>
    runCommand(
      'sh',
      ['-c', `set -eu; . ${NODES}lib.sh; . ${NODES}s3.sh; rejoin_s3_load ${s3.bucket}\n${text}\necho '{}'`],
      {
        env: { PATH: process.env['PATH'] ?? '', REJOIN_NODE_ENV: '/etc/rejoin/node.env', ...env },
      },
    );
  const passes = async (text: string, env?: Readonly<Record<string, string>>): Promise<string> => {
    const result = await shell(text, env);
    expect(result.code, result.stderr).toBe(0);
    return result.stdout;
  };

  it('reads an object and a stretch of one, with a key that has to be encoded', async () => {
    s3.objects.set(LONG_KEY, Buffer.from('0123456789'));
    await passes(`rejoin_s3_get '${LONG_KEY}' ${dir}/whole; rejoin_s3_get '${LONG_KEY}' ${dir}/range 3 7`);
    expect(await readFile(join(dir, 'whole'), 'utf8')).toBe('0123456789');
    expect(await readFile(join(dir, 'range'), 'utf8')).toBe('3456');
    expect(s3.requests.map((r) => r.status)).toEqual([200, 206]);
    expect(s3.requests[0]?.headers['x-amz-security-token']).toBe(KEYS.AWS_SESSION_TOKEN);
  });

  it('reads many objects by one curl, and leaves out what did not come', async () => {
    for (let n = 0; n < 20; n += 1) s3.objects.set(`a/${n},x`, Buffer.from(`body ${n}`));
    s3.objects.delete('a/7,x');
    const lines = Array.from({ length: 20 }, (_, n) => `a/${n},x\t${dir}/many.${n}`).join('\n');
    await passes(`printf '%s\\n' '${lines}' | rejoin_s3_get_many`);
    for (let n = 0; n < 20; n += 1) {
      const there = await readFile(join(dir, `many.${n}`), 'utf8').catch(() => null);
      expect(there).toBe(n === 7 ? null : `body ${n}`);
    }
    expect(new Set(s3.requests.map((r) => r.status))).toEqual(new Set([200, 404]));
  });

  it('puts a part with its checksum, and says its ETag', async () => {
    s3.parts.set(UPLOAD, new Map());
    const body = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * i) % 256));
    await writeFile(join(dir, 'part'), body);
    const out = await passes(
      `rejoin_s3_put_part a/base/b/data.zst '${UPLOAD}' 12 ${dir}/part "$(rejoin_sha256 <${dir}/part)"; echo "$rejoin_etag"`,
    );
    expect(s3.parts.get(UPLOAD)?.get(12)).toEqual(body);
    expect(out).toMatch(/^"[0-9a-f]{32}"$/m);
  });

  it('writes a small object only where there is none, and takes its own for its own', async () => {
    await writeFile(join(dir, 'small'), 'one\n');
    await writeFile(join(dir, 'other'), 'two\n');
    await passes(`rejoin_s3_put_new a/parts ${dir}/small; rejoin_s3_put_new a/parts ${dir}/small`);
    const refused = await shell(`rejoin_s3_put_new a/parts ${dir}/other`);
    expect(refused.code).toBe(60);
    expect(refused.stderr).toContain('s3 a/parts exists already and is another; expected none');
    expect(s3.objects.get('a/parts')?.toString()).toBe('one\n');
  });

  it('tries again what may pass, and says what S3 said when it does not', async () => {
    s3.objects.set('a/b', Buffer.from('x'));
    s3.fault = (_, __, attempt) => (attempt < 3 ? 503 : null);
    await passes(`rejoin_s3_get a/b ${dir}/x`);
    expect(s3.requests.map((r) => r.status)).toEqual([503, 503, 200]);
    s3.fault = () => null;
    const wrong = await shell(`rejoin_s3_get a/none ${dir}/x`);
    expect(wrong.code).toBe(60);
    expect(wrong.stderr).toMatch(/status 404 after 1 attempts.*NoSuchKey/);
    const foreign = await shell(`rejoin_s3_get a/b ${dir}/x`, { ...s3.env, AWS_SECRET_ACCESS_KEY: 'wrong' });
    expect(foreign.stderr).toMatch(/SignatureDoesNotMatch/);
    expect(foreign.stderr).not.toContain(KEYS.AWS_SESSION_TOKEN);
  });

  it('takes the credentials of the instance’s role, by IMDSv2, and asks anew for those that run out', async () => {
    let given = 0;
    const imds = createServer((request, response) => {
      if (request.method === 'PUT') return response.end('imds-token');
      if (request.headers['x-aws-ec2-metadata-token'] !== 'imds-token') return response.writeHead(401).end();
      const path = (request.url ?? '').replace('/latest/meta-data/', '');
      if (path === 'placement/region') return response.end('eu-central-1');
      if (path === 'iam/security-credentials/') return response.end('node-role');
      if (path !== 'iam/security-credentials/node-role') return response.writeHead(404).end();
      given += 1;
      const [AccessKeyId, SecretAccessKey, Token] = Object.values(KEYS);
      // The first run out soon, the second do not.
      const Expiration = new Date(Date.now() + (given === 1 ? 60_000 : 3_600_000)).toISOString().replace(/\.\d+Z/, 'Z');
      return response.end(
        JSON.stringify({ Code: 'Success', AccessKeyId, SecretAccessKey, Token, Expiration }, null, 2),
      );
    });
    await new Promise<void>((resolve) => imds.listen(0, '127.0.0.1', resolve));
    s3.objects.set('a/b', Buffer.from('x'));
    const get = `rejoin_s3_get a/b ${dir}/x`;
    await passes([get, get, get].join('\n'), {
      REJOIN_IMDS: `http://127.0.0.1:${(imds.address() as AddressInfo).port}`,
      REJOIN_S3_ENDPOINT: s3.endpoint,
    });
    expect(given).toBe(2);
    expect(s3.requests.map((r) => r.status)).toEqual([200, 200, 200]);
    imds.close();
  });

  it('shows no secret in any command line', async () => {
    s3.objects.set('a/slow', Buffer.from('x'));
    let listed = '';
    const ps = (): Promise<string> =>
      new Promise((resolve) => execFile('ps', ['-eo', 'args', 'ww'], (_, stdout) => resolve(stdout)));
    const looked: Promise<void>[] = [];
    s3.fault = () => {
      looked.push(ps().then((text) => void (listed += text)));
      return null;
    };
    const running = passes(`rejoin_s3_get a/slow ${dir}/x`);
    await running;
    await Promise.all(looked);
    expect(listed).toContain('ps -eo args');
    for (const secret of [KEYS.AWS_SECRET_ACCESS_KEY, KEYS.AWS_SESSION_TOKEN]) expect(listed).not.toContain(secret);
  });
});
