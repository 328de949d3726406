/**
 * A tiny S3 in memory, for what talks to S3 by the shell: objects, ranges, parts, `If-None-Match`, checksums. It recomputes each
 * request's signature by the documented recipe (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html),
 * with node:crypto alone, and refuses what was not signed right.
 */
import { createHash, createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const KEYS = {
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  AWS_SESSION_TOKEN: 'IQoJb3JpZ2luX2VjEXAMPLE//token+with/special==',
};
export const REGION = 'eu-central-1';

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Answers a status to fail the request with, or null. */
export type Fault = (method: string, path: string, attempt: number) => number | null;

export interface S3 {
  readonly endpoint: string;
  /** The one bucket that there is; another one is known nowhere. */
  bucket: string;
  readonly objects: Map<string, Buffer>;
  /** Parts of uploads by upload id and number. */
  readonly parts: Map<string, Map<number, Buffer>>;
  readonly requests: Request[];
  fault: Fault;
  /** What hosts need to use it, for node.env or the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** As the plane does it, with the parts that `<base>/parts` names. Throws when one of them is not there as it says. */
  complete(key: string, uploadId: string): Buffer;
  close(): Promise<void>;
}

const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** Null when the signature is right, otherwise why it is not. */
export function signatureFault(request: IncomingMessage, body: Buffer): string | null {
  const authorization = request.headers.authorization ?? '';
  const [, id, date = '', region = '', signedHeaders = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    ) ?? [];
  if (id !== KEYS.AWS_ACCESS_KEY_ID || region !== REGION) return `not a signature of ours: ${authorization}`;
  const names = signedHeaders.split(';');
  // S3 wants these signed; others may be.
  const must = ['host', ...Object.keys(request.headers).filter((name) => name.startsWith('x-amz-'))];
  const unsigned = must.filter((name) => !names.includes(name));
  if (unsigned.length > 0 || [...names].sort().join(';') !== signedHeaders) return `signed headers ${signedHeaders}`;
  if (request.headers['x-amz-content-sha256'] !== sha256(body)) return 'x-amz-content-sha256 is not the body’s';
  if (request.headers['x-amz-security-token'] !== KEYS.AWS_SESSION_TOKEN) return 'x-amz-security-token';
  const url = new URL(request.url ?? '/', 'http://s3');
  const query = [...url.searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const path = decodeURIComponent(url.pathname).split('/').map(encode).join('/');
  const headers = names.map((name) => `${name}:${String(request.headers[name]).trim().replaceAll(/ +/g, ' ')}\n`);
  const canonical = [request.method, path, query, headers.join(''), signedHeaders, sha256(body)].join('\n');
  const moment = String(request.headers['x-amz-date']);
  if (Math.abs(Date.parse(moment.replace(/^(....)(..)(..T..)(..)/, '$1-$2-$3:$4:')) - Date.now()) > 900_000)
    return `x-amz-date ${moment}`;
  const text = ['AWS4-HMAC-SHA256', moment, `${date}/${region}/s3/aws4_request`, sha256(canonical)].join('\n');
  const key = [date, region, 's3', 'aws4_request'].reduce<Buffer | string>(hmac, `AWS4${KEYS.AWS_SECRET_ACCESS_KEY}`);
  return hmac(key, text).toString('hex') === signature ? null : `the signature of\n${canonical}`;
}

const error = (code: string, message: string, canonical = ''): Buffer =>
  Buffer.from(
    `<?xml version="1.0"?>\n<Error><Code>${code}</Code><Message>${message}</Message><CanonicalRequest>${canonical}</CanonicalRequest></Error>`,
  );

interface Answer {
  readonly status: number;
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

function answer(s3: Pick<S3, 'bucket' | 'objects' | 'parts'>, request: IncomingMessage, body: Buffer): Answer {
  const url = new URL(request.url ?? '/', 'http://s3');
  const [, bucket = '', key = ''] = /^\/([^/]+)\/(.*)$/.exec(decodeURIComponent(url.pathname)) ?? [];
  if (bucket !== s3.bucket) return { status: 404, body: error('NoSuchBucket', bucket) };
  if (request.method === 'GET') {
    const object = s3.objects.get(key);
    if (object === undefined) return { status: 404, body: error('NoSuchKey', key) };
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (from === undefined || to === undefined) return { status: 200, body: object };
    return { status: 206, body: object.subarray(Number(from), Number(to) + 1) };
  }
  const checksum = request.headers['x-amz-checksum-sha256'];
  if (checksum !== createHash('sha256').update(body).digest('base64'))
    return { status: 400, body: error('BadDigest', `checksum ${String(checksum)}`) };
  const etag = `"${createHash('md5').update(body).digest('hex')}"`;
  const uploadId = url.searchParams.get('uploadId');
  if (uploadId !== null) {
    const upload = s3.parts.get(uploadId);
    if (upload === undefined) return { status: 404, body: error('NoSuchUpload', uploadId) };
    upload.set(Number(url.searchParams.get('partNumber')), body);
    return { status: 200, headers: { etag } };
  }
  if (request.headers['if-none-match'] !== '*') return { status: 403, body: error('AccessDenied', 'no If-None-Match') };
  if (s3.objects.has(key)) return { status: 412, body: error('PreconditionFailed', key) };
  s3.objects.set(key, body);
  return { status: 200, headers: { etag } };
}

/** Starts it on a free port of 127.0.0.1. */
export async function startS3(): Promise<S3> {
  const attempts = new Map<string, number>();
  const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const [method = '', path = ''] = [request.method, request.url];
    const attempt = (attempts.get(`${method} ${path}`) ?? 0) + 1;
    attempts.set(`${method} ${path}`, attempt);
    const failed = s3.fault(method, path, attempt);
    const unsigned = signatureFault(request, body);
    const given: Answer =
      failed !== null
        ? { status: failed, body: error('InternalError', 'made to fail') }
        : unsigned !== null
          ? { status: 403, body: error('SignatureDoesNotMatch', 'It is not the one that was calculated.', unsigned) }
          : answer(s3, request, body);
    s3.requests.push({ method, path, status: given.status, headers: request.headers });
    response.writeHead(given.status, { 'content-length': given.body?.length ?? 0, ...given.headers });
    response.end(given.body);
  };
  const server = createServer((request, response) => {
    receive(request, response).catch((reason: unknown) => response.destroy(reason as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const s3: S3 = {
    endpoint,
    bucket: 'rejoin-archive',
    objects: new Map(),
    parts: new Map(),
    requests: [],
    fault: () => null,
    env: { ...KEYS, REJOIN_REGION: REGION, REJOIN_S3_ENDPOINT: endpoint },
    complete: (key, uploadId) => {
      const named = s3.objects.get(key.replace(/data\.zst$/, 'parts'))?.toString() ?? '';
      const rows = named.trim().split('\n');
      const pieces = rows.map((row, index) => {
        const [number, bytes, sum, etag] = row.split('\t');
        const part = s3.parts.get(uploadId)?.get(Number(number));
        if (part === undefined || Number(number) !== index + 1 || part.length !== Number(bytes))
          throw new Error(`no part as in: ${row}`);
        if (sha256(part) !== sum || etag !== `"${createHash('md5').update(part).digest('hex')}"`)
          throw new Error(`another part than in: ${row}`);
        return part;
      });
      const whole = Buffer.concat(pieces);
      s3.objects.set(key, whole);
      return whole;
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return s3;
}
