/** What goes on beside a test: a client that writes all the time, and hands that are held up. */
import { connect as connectSocket, type Socket } from 'node:net';
import pg from 'pg';
import { ACCOUNTS, eventually, type PostgresServer } from './servers.ts';

export interface Load {
  /** Commits that the server acknowledged. */
  acknowledged(): number;
  /** Waits until so many are. */
  rows(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Commits one row after another in database `app`. Throws from `stop` what went wrong. */
export function load(server: PostgresServer): Load {
  const { user, password } = ACCOUNTS.app;
  const client = new pg.Client({ host: server.address, port: server.port, user, password, database: 'app' });
  let count = 0;
  let over = false;
  const running = (async () => {
    await client.connect();
    await client.query('CREATE TABLE IF NOT EXISTS journal (n int)');
    for (; !over; count++) await client.query('INSERT INTO journal VALUES ($1)', [count]);
    await client.end();
  })();
  running.catch(() => (over = true));
  return {
    acknowledged: () => count,
    rows: async (wanted) => {
      await eventually(`${wanted} rows`, 20, async () => {
        if (over) await running;
        return count >= wanted ? true : undefined;
      });
    },
    stop: async () => {
      over = true;
      await running;
    },
  };
}

/** Process id of a server's own process, such as `startup` or `checkpointer`. */
export async function processId(server: PostgresServer, backendType: string): Promise<number> {
  return Number(await server.sql(`SELECT pid FROM pg_stat_activity WHERE backend_type = '${backendType}'`));
}

/** Sockets that pass on what contains `text` only after `ms`. */
export function holdUp(
  text: string,
  ms: number,
): { connect: (host: string, port: number) => Socket; holding: () => boolean } {
  let holding = false;
  return {
    holding: () => holding,
    connect: (host, port) => {
      const socket = connectSocket({ host, port });
      const write = socket.write.bind(socket) as (chunk: Buffer, ...rest: unknown[]) => boolean;
      socket.write = (chunk: Buffer, ...rest: unknown[]): boolean => {
        if (!chunk.includes(text)) return write(chunk, ...rest);
        holding = true;
        setTimeout(() => socket.destroyed || write(chunk, ...rest), ms);
        return true;
      };
      return socket;
    },
  };
}
