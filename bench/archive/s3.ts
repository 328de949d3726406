/** The local S3 server as the benchmark uses it: started, asked what it holds, and measured itself. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, request as secureRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { existsSync } from 'node:fs';
import type { Cleanup } from '../../rehearsal/cleanup.ts';
import { makeCertificates, type Certificates } from './certificates.ts';
import type { Kept } from './kinds.ts';

const RAM_DISK = '/dev/shm';

export interface LocalS3 {
  readonly pid: number;
  readonly port: number;
  /** With TLS; every contestant goes there. */
  readonly endpoint: string;
  readonly certificates: Certificates;
  makeBucket(bucket: string): Promise<void>;
  /** With all that is in it. */
  removeBucket(bucket: string): Promise<void>;
  keys(bucket: string, prefix?: string): Promise<readonly { readonly key: string; readonly bytes: number }[]>;
  put(bucket: string, key: string, text: string): Promise<void>;
  /** Answers the upload's id. */
  beginUpload(bucket: string, key: string): Promise<string>;
  completeUpload(bucket: string, key: string, id: string, parts: readonly (readonly [number, string])[]): Promise<void>;
  read(bucket: string, key: string): Promise<Uint8Array>;
  /** Everything below a prefix. */
  kept(bucket: string, prefix?: string): Promise<Kept>;
  raw(): Promise<RawSpeed>;
}

/** What the server takes and gives, bodies of random bytes over TLS, several at once; its client's work is in it. */
export interface RawSpeed {
  readonly putMBps: number;
  readonly getMBps: number;
}

const RAW = { bodies: 16, bytes: 6 << 20, atOnce: 4 } as const;

export async function startS3(dir: string, cleanup: Cleanup): Promise<LocalS3> {
  const certificates = await makeCertificates(dir);
  const folder = await mkdtemp(join(existsSync(RAM_DISK) ? RAM_DISK : tmpdir(), 'rejoin-bench-s3-'));
  cleanup.add("the S3 server's folder", () => rm(folder, { recursive: true, force: true }));
  const main = join(import.meta.dirname, 's3', 'main.ts');
  // It ends with its standard input, so also when this process is killed.
  const child = spawn(process.execPath, [main, folder, certificates.certificate, certificates.key], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] },
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  cleanup.add('the S3 server', async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the S3 server ended with ${code} while it started`)));
  });
  const { http, https } = JSON.parse(line) as { http: number; https: number };
  return client(child.pid ?? 0, http, https, certificates);
}

function client(pid: number, clearPort: number, port: number, certificates: Certificates): LocalS3 {
  const call = async (method: string, path: string, body: string | null = null): Promise<Response> => {
    const answer = await fetch(`http://127.0.0.1:${clearPort}/${path}`, { method, body });
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${await answer.text()}`);
    return answer;
  };
  const keys: LocalS3['keys'] = async (bucket, prefix = '') => {
    const found: { key: string; bytes: number }[] = [];
    for (let after = ''; ;) {
      const query = new URLSearchParams({ 'list-type': '2', prefix, 'start-after': after });
      const xml = await (await call('GET', `${bucket}?${query.toString()}`)).text();
      const page = [...xml.matchAll(/<Key>([^<]*)<\/Key>[^]*?<Size>(\d+)<\/Size>/g)];
      found.push(...page.map(([, key = '', bytes = '']) => ({ key, bytes: Number(bytes) })));
      if (!xml.includes('<IsTruncated>true<')) return found;
      after = found.at(-1)?.key ?? '';
    }
  };
  const inPath = (key: string): string => key.split('/').map(encodeURIComponent).join('/');
  return {
    ...{ pid, port, endpoint: `https://127.0.0.1:${port}`, certificates, keys },
    makeBucket: async (bucket) => void (await call('PUT', bucket)),
    removeBucket: async (bucket) => void (await call('DELETE', bucket)),
    put: async (bucket, key, text) => void (await call('PUT', `${bucket}/${inPath(key)}`, text)),
    beginUpload: async (bucket, key) => {
      const xml = await (await call('POST', `${bucket}/${inPath(key)}?uploads`)).text();
      return /<UploadId>([^<]*)</.exec(xml)?.[1] ?? '';
    },
    completeUpload: async (bucket, key, id, parts) => {
      const list = parts.map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`);
      const xml = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
      await call('POST', `${bucket}/${inPath(key)}?uploadId=${id}`, xml);
    },
    read: async (bucket, key) => new Uint8Array(await (await call('GET', `${bucket}/${inPath(key)}`)).arrayBuffer()),
    kept: async (bucket, prefix) => {
      const all = await keys(bucket, prefix);
      return { bytes: all.reduce((total, { bytes }) => total + bytes, 0), objects: all.length };
    },
    raw: async () => {
      await call('PUT', 'raw');
      const speed = await measureRaw(port, await readFile(certificates.ca));
      await call('DELETE', 'raw');
      return speed;
    },
  };
}

async function measureRaw(port: number, ca: Buffer): Promise<RawSpeed> {
  const agent = new Agent({ keepAlive: true, maxSockets: RAW.atOnce, ca });
  const body = randomBytes(RAW.bytes);
  const one = (method: 'PUT' | 'GET', n: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const options = { agent, method, host: '127.0.0.1', port, path: `/raw/${n}` };
      const headers = method === 'PUT' ? { 'content-length': RAW.bytes } : {};
      const call = secureRequest({ ...options, headers }, (answer) => {
        answer.once('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}`))));
        answer.resume();
      });
      call.once('error', reject);
      call.end(method === 'PUT' ? body : undefined);
    });
  const speed = async (method: 'PUT' | 'GET'): Promise<number> => {
    const beganMs = performance.now();
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < RAW.bodies) await one(method, next++);
    };
    await Promise.all(Array.from({ length: RAW.atOnce }, worker));
    return (RAW.bodies * RAW.bytes) / 1000 / (performance.now() - beganMs);
  };
  try {
    return { putMBps: await speed('PUT'), getMBps: await speed('GET') };
  } finally {
    agent.destroy();
  }
}
