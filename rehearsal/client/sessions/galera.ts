/** The application's connection to MariaDB Galera. */
import mysql from 'mysql2/promise';
import { now, type Login, type Server, type Session } from './session.ts';

/** @throws the driver's error when nobody answers in time, or the login is refused. */
export async function openGalera(server: Server, login: Login, timeoutMs: number): Promise<Session> {
  const connection = await mysql.createConnection({ ...server, ...login, connectTimeout: timeoutMs });
  // An idle connection that breaks emits an error; the next statement on it reports it.
  connection.on('error', () => undefined);
  return {
    insert: async (id) => void (await connection.query('INSERT INTO writes (id, at_ms) VALUES (?, ?)', [id, now()])),
    arrived: async (id) => {
      // Brings the node up to date with the cluster first.
      await connection.query('SET SESSION wsrep_sync_wait = 1');
      const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT COUNT(*) AS n FROM writes WHERE id = ?', [
        id,
      ]);
      await connection.query('SET SESSION wsrep_sync_wait = 0');
      return Number(rows[0]?.['n']) > 0;
    },
    insertDirect: () =>
      Promise.reject(new Error('every Galera node takes writes: nothing is proven by writing to each of them')),
    read: async () => void (await connection.query('SELECT MAX(id) FROM writes')),
    end: () => connection.end(),
    destroy: () => connection.destroy(),
  };
}
