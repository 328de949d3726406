/**
 * Stands for the database on a host, for tests that are about the host: greets and echoes on the host's address, keeps a
 * file of the data volume open, and says on the volume when it was shut down cleanly.
 */
import { appendFileSync, openSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

const { REJOIN_ADDRESS: address, REJOIN_PORT: port, REJOIN_DATA_DIR: data, TOY_STOP_MS: stopMs } = process.env;
const table = openSync(join(data, 'table'), 'a');
appendFileSync(table, `started on ${address}\n`);
const server = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.write(`hello from ${address}\n`);
  socket.on('data', (chunk) => socket.write(chunk));
});
server.listen(Number(port), address);
process.on('SIGTERM', () => {
  setTimeout(
    () => {
      writeFileSync(join(data, 'clean-shutdown'), 'yes\n');
      process.exit(0);
    },
    Number(stopMs ?? 0),
  );
});
