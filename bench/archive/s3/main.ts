/**
 * The S3 server's process: `node main.ts FOLDER CERTIFICATE KEY`. Listens on free ports of 127.0.0.1, in clear and with TLS,
 * writes `{"http": …, "https": …}` on a line to standard output, and ends when its standard input does.
 */
import { readFileSync } from 'node:fs';
import { createServer as createClearServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { s3Listener } from './server.ts';
import { Store } from './store.ts';

const [folder, certificate, key] = process.argv.slice(2);
if (folder === undefined || certificate === undefined || key === undefined)
  throw new Error('usage: main.ts FOLDER CERTIFICATE KEY');

const listener = s3Listener(new Store(folder), (what) => console.error(what));
// Sockets read in larger pieces than the default 64 KiB, so that a body of megabytes is fewer turns of the loop.
const options = { highWaterMark: 1 << 20, keepAliveTimeout: 60_000, requestTimeout: 0 };
const clear = createClearServer(options, listener);
const secured = createServer({ ...options, cert: readFileSync(certificate), key: readFileSync(key) }, listener);

const listening = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

// A client that asks before it sends (Expect: 100-continue) is answered by the listener.
for (const server of [clear, secured]) server.on('checkContinue', listener);
console.log(JSON.stringify({ http: await listening(clear), https: await listening(secured) }));
process.stdin.on('end', () => process.exit(0)).resume();
