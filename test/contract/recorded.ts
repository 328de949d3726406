/**
 * An HTTP server that gives AWS's answers one after the other: for what moto never says (pages, throttling, refusals, keys
 * left unprocessed). The SDK's own parsing, retries and error classes are at work.
 */
import { createServer } from 'node:http';
import { afterEach } from 'vitest';
import type { Moto } from './moto.ts';

export interface Answer {
  readonly status?: number;
  /** An object is sent as JSON. */
  readonly body: string | object;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Recorded {
  readonly config: Moto['config'] & { readonly maxAttempts: number };
  /** Parsed JSON bodies, or the raw text, of the requests so far. */
  readonly requests: readonly unknown[];
  readonly stop: () => Promise<void>;
}

/** Past its last answer the server repeats the last one. */
export async function startRecorded(answers: readonly [Answer, ...Answer[]], maxAttempts = 1): Promise<Recorded> {
  const requests: unknown[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      requests.push(text.startsWith('{') ? (JSON.parse(text) as unknown) : `${request.url ?? ''} ${text}`);
      const answer = answers[Math.min(requests.length, answers.length) - 1] ?? answers[0];
      const isText = typeof answer.body === 'string';
      response.writeHead(answer.status ?? 200, {
        'content-type': isText ? 'text/xml' : 'application/x-amz-json-1.0',
        ...answer.headers,
      });
      response.end(isText ? answer.body : JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.202.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has no port');
  return {
    config: {
      endpoint: `http://127.202.0.1:${address.port}`,
      region: 'eu-west-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      maxAttempts,
    },
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** For a test file: starts a server when asked, and stops it after each test. */
export function useRecorded(): typeof startRecorded {
  let server: Recorded | undefined;
  afterEach(async () => {
    await server?.stop();
    server = undefined;
  });
  return async (answers, maxAttempts) => {
    server = await startRecorded(answers, maxAttempts);
    return server;
  };
}

/** An error as AWS's JSON protocols give it. */
export const jsonError = (type: string, message = 'm', status = 400): Answer => ({
  status,
  body: { __type: `com.amazonaws#${type}`, message },
  headers: { 'x-amzn-errortype': type },
});
