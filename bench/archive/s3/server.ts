/**
 * A local S3 server for the archive's benchmark, as fast as Node lets it be: bodies stream between a socket and files of a
 * RAM disk. It takes signatures, checksums and everybody; it answers by path (`/bucket/key`), and what it does not know it
 * refuses with 501 rather than do something else.
 */
import { createReadStream } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import {
  completedXml,
  deletedXml,
  errorXml,
  initiatedXml,
  keyOfToken,
  keysIn,
  listXml,
  partsIn,
  partsXml,
  rangeOf,
  REFUSALS,
  targetOf,
  type RefusalCode,
  type Target,
} from './answers.ts';
import type { Store, Stored, Upload } from './store.ts';

/** A list page as S3 has it. */
const KEYS_A_PAGE = 1000;
const READ_BYTES = 1 << 18;

class Refusal extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}

interface Call extends Target {
  readonly request: IncomingMessage;
  readonly answer: ServerResponse;
  readonly store: Store;
}

const sendXml = ({ answer }: Call, xml: string, status = 200): void => {
  answer.writeHead(status, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(xml) });
  answer.end(xml);
};

const sendEmpty = ({ answer }: Call, status: number, headers: Record<string, string | number> = {}): void => {
  answer.writeHead(status, { ...headers, ...(status !== 204 && { 'content-length': 0 }) });
  answer.end();
};

const onlyNew = ({ request }: Call): boolean => request.headers['if-none-match'] === '*';

/** The body of a PUT, as an object that has no name yet. */
async function bodyOf({ request, store, answer }: Call): Promise<Stored> {
  const { headers } = request;
  const length = Number(headers['content-length'] ?? Number.NaN);
  if (!Number.isInteger(length)) throw new Refusal('MissingContentLength', 'give a Content-Length');
  if (String(headers['x-amz-content-sha256']).startsWith('STREAMING-'))
    throw new Refusal('NotImplemented', 'signed or trailed chunks are not known here; send the body as it is');
  if (headers['x-amz-copy-source'] !== undefined) throw new Refusal('NotImplemented', 'copies are not known here');
  if (headers.expect?.toLowerCase() === '100-continue') answer.writeContinue();
  return store.receive(request, length);
}

function uploadOf({ store, bucket, key, query }: Call): { readonly id: string; readonly upload: Upload } {
  const id = query.get('uploadId') ?? '';
  const upload = store.upload(bucket, key, id);
  if (upload === null) throw new Refusal('NoSuchUpload', `there is no upload ${id} of ${key}`);
  return { id, upload };
}

async function put(call: Call): Promise<void> {
  const { store, bucket, key, query } = call;
  if (key === '') {
    store.makeBucket(bucket);
    return sendEmpty(call, 200);
  }
  if (query.has('uploadId')) {
    const { upload } = uploadOf(call);
    const part = await bodyOf(call);
    await store.putPart(upload, Number(query.get('partNumber')), part);
    return sendEmpty(call, 200, { etag: part.etag });
  }
  if (onlyNew(call) && store.get(bucket, key) !== null) throw new Refusal('PreconditionFailed', `${key} exists`);
  const object = await bodyOf(call);
  if (!(await store.put(bucket, key, object, onlyNew(call)))) throw new Refusal('PreconditionFailed', `${key} exists`);
  return sendEmpty(call, 200, { etag: object.etag });
}

async function post(call: Call): Promise<void> {
  const { store, bucket, key, query, request } = call;
  if (query.has('uploads')) return sendXml(call, initiatedXml(bucket, key, store.beginUpload(bucket, key)));
  if (query.has('delete')) {
    for (const name of keysIn(await text(request))) await store.remove(bucket, name);
    return sendXml(call, deletedXml());
  }
  const { id, upload } = uploadOf(call);
  const done = await store.complete(id, upload, partsIn(await text(request)), onlyNew(call));
  if (done === 'exists') throw new Refusal('PreconditionFailed', `${key} exists`);
  if (done === 'no-such-part') throw new Refusal('InvalidPart', `a part of ${id} is not there, or is another one`);
  return sendXml(call, completedXml(bucket, key, done));
}

function list(call: Call): void {
  const { store, bucket, query } = call;
  const [prefix, delimiter] = [query.get('prefix') ?? '', query.get('delimiter') ?? ''];
  const token = query.get('continuation-token');
  const after = token === null ? (query.get('start-after') ?? '') : keyOfToken(token);
  const most = Math.min(Number(query.get('max-keys') ?? KEYS_A_PAGE), KEYS_A_PAGE);
  sendXml(call, listXml({ bucket, prefix, delimiter }, store.list(bucket, prefix, delimiter, after, most)));
}

async function get(call: Call): Promise<void> {
  const { store, bucket, key, query, request, answer } = call;
  if (key === '') return list(call);
  if (query.has('uploadId')) {
    const { id, upload } = uploadOf(call);
    return sendXml(
      call,
      partsXml(
        id,
        [...upload.parts].sort(([a], [b]) => a - b),
      ),
    );
  }
  const object = store.get(bucket, key);
  if (object === null) throw new Refusal('NoSuchKey', `there is no ${key}`);
  const { range: asked } = request.headers;
  const range = asked === undefined ? { from: 0, to: object.bytes - 1 } : rangeOf(asked, object.bytes);
  if (range === null) throw new Refusal('InvalidRange', `${asked} of ${object.bytes} bytes`);
  const { from, to } = range;
  answer.writeHead(asked === undefined ? 200 : 206, {
    'content-length': to - from + 1,
    'content-type': 'application/octet-stream',
    etag: object.etag,
    'last-modified': new Date(object.atMs).toUTCString(),
    ...(asked !== undefined && { 'content-range': `bytes ${from}-${to}/${object.bytes}` }),
  });
  if (request.method === 'HEAD') answer.end();
  else await pipeline(bytesOf(object, from, to), answer);
}

/** The bytes from `from` to `to`, both with, of an object's bodies. */
async function* bytesOf({ bodies }: Stored, from: number, to: number): AsyncGenerator<Buffer> {
  let at = 0;
  for (const { file, bytes } of bodies) {
    const [start, end] = [Math.max(from - at, 0), Math.min(to - at, bytes - 1)];
    at += bytes;
    if (start <= end) yield* createReadStream(file, { start, end, highWaterMark: READ_BYTES });
  }
}

async function remove(call: Call): Promise<void> {
  const { store, bucket, key, query } = call;
  if (query.has('uploadId')) await store.abort(uploadOf(call).id);
  else if (key === '')
    await store.removeBucket(bucket); // with all that is in it, where S3 would refuse
  else await store.remove(bucket, key);
  sendEmpty(call, 204);
}

async function serve(call: Call): Promise<void> {
  const { request, bucket, key, store } = call;
  if (!store.hasBucket(bucket) && !(request.method === 'PUT' && key === ''))
    throw new Refusal('NoSuchBucket', `there is no bucket ${JSON.stringify(bucket)}`);
  switch (request.method ?? '') {
    case 'PUT':
      return put(call);
    case 'POST':
      return post(call);
    case 'GET':
    case 'HEAD':
      return get(call);
    case 'DELETE':
      return remove(call);
    default:
      throw new Refusal('NotImplemented', `${request.method} is not known here`);
  }
}

/** Answers every request, errors too; `say` hears what S3 would not have said. */
export function s3Listener(store: Store, say: (what: string) => void): RequestListener {
  return (request, answer) => {
    const call: Call = { ...targetOf(request.url ?? '/'), request, answer, store };
    serve(call).catch((error: unknown) => {
      const code = error instanceof Refusal ? error.code : 'InternalError';
      const message = error instanceof Error ? error.message : String(error);
      if (code === 'InternalError' || code === 'NotImplemented') say(`${request.method} ${request.url}: ${message}`);
      if (answer.headersSent) answer.destroy();
      else if (request.method === 'HEAD') sendEmpty(call, REFUSALS[code]);
      else sendXml(call, errorXml(code, message), REFUSALS[code]);
      request.resume(); // what is left of a body is read, so that the connection can be used again
    });
  };
}
