/** Sends a request on to moto as it came, and brings back the answer. */
import { Agent, request as httpRequest } from 'node:http';
import type { AwsRequest, AwsResponse } from './contract.ts';

/** Not passed on: they belong to one connection, or were settled by our own server. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'expect', 'upgrade', 'content-length']);

export interface Forwarder {
  send(request: AwsRequest): Promise<AwsResponse>;
  close(): void;
}

function headersToSend(request: AwsRequest): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name)) headers[name] = value;
  }
  headers['content-length'] = String(request.body.length);
  return headers;
}

/**
 * moto reads path-style S3 URLs only for `localhost`, while our endpoint must be 127.0.0.1 for S3 clients to use path
 * style at all. So the address is changed where CloudFormation is told to fetch a template.
 */
export function withReadableTemplateUrl(request: AwsRequest): AwsRequest {
  if (request.service !== 'cloudformation' || typeof request.params['TemplateURL'] !== 'string') return request;
  const form = new URLSearchParams(request.body.toString('utf8'));
  form.set('TemplateURL', request.params['TemplateURL'].replace('http://127.0.0.1:', 'http://localhost:'));
  return { ...request, body: Buffer.from(form.toString()) };
}

/**
 * Lets one task after another run. moto undoes a refused TransactWriteItems by restoring a copy of the whole table, and
 * with it loses what others wrote meanwhile; DynamoDB isolates them, and so calls to it go to moto one at a time.
 */
function oneAtATime(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const next = last.then(task, task);
    last = next.catch(() => undefined);
    return next;
  };
}

/** `endpoint` is moto's own. A connection that fails rejects with the cause. */
export function createForwarder(endpoint: string): Forwarder {
  const direct = createDirectForwarder(endpoint);
  const inTurn = oneAtATime();
  return {
    send: (request) => (request.service === 'dynamodb' ? inTurn(() => direct.send(request)) : direct.send(request)),
    close: () => direct.close(),
  };
}

function createDirectForwarder(endpoint: string): Forwarder {
  const { hostname, port } = new URL(endpoint);
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return {
    send: (original) =>
      new Promise((resolve, reject) => {
        const request = withReadableTemplateUrl(original);
        const outgoing = httpRequest(
          { agent, hostname, port, method: request.method, path: request.url, headers: headersToSend(request) },
          (incoming) => {
            const chunks: Buffer[] = [];
            incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
            incoming.once('error', reject);
            incoming.once('end', () => {
              const headers: Record<string, string> = {};
              for (const [name, value] of Object.entries(incoming.headers)) {
                const dropped = HOP_BY_HOP.has(name) && !(name === 'content-length' && request.method === 'HEAD');
                if (value !== undefined && !dropped) headers[name] = Array.isArray(value) ? value.join(', ') : value;
              }
              resolve({ status: incoming.statusCode ?? 502, headers, body: Buffer.concat(chunks) });
            });
          },
        );
        outgoing.once('error', reject);
        outgoing.end(request.body);
      }),
    close: () => agent.destroy(),
  };
}
