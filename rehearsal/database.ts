/** The application's table: made before the client starts, compared with its journal at the end. */
import mysql from 'mysql2/promise';
import { ACCOUNTS } from './host/galera-host.ts';
import type { ObservedNode } from './observer.ts';
import { account, type Accounting } from './report.ts';

const connect = (host: string, port: number): Promise<mysql.Connection> =>
  mysql.createConnection({
    host,
    port,
    user: ACCOUNTS.app.user,
    password: ACCOUNTS.app.password,
    database: ACCOUNTS.app.database,
  });

/** `id` is not unique on purpose: a write that is stored twice must be seen. */
export async function createTable(host: string, port: number): Promise<void> {
  const connection = await connect(host, port);
  try {
    await connection.query(
      'CREATE TABLE IF NOT EXISTS writes (seq BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT NOT NULL, at_ms BIGINT NOT NULL, KEY (id)) ENGINE=InnoDB',
    );
  } finally {
    await connection.end();
  }
}

/** Ids on one node, after it has applied everything that the cluster had committed (`wsrep_sync_wait`). */
async function idsOn(node: ObservedNode, port: number): Promise<number[]> {
  const connection = await connect(node.address, port);
  try {
    await connection.query('SET SESSION wsrep_sync_wait = 1');
    const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT id FROM writes');
    return rows.map((row) => Number(row['id']));
  } finally {
    await connection.end();
  }
}

/** Compares the client's journal with every node; also the number of rows on each. */
export async function acknowledgedEverywhere(
  acknowledged: readonly number[],
  nodes: readonly ObservedNode[],
  port: number,
): Promise<{ readonly accounting: Accounting; readonly rows: ReadonlyMap<string, number> }> {
  const perNode = await Promise.all(nodes.map((node) => idsOn(node, port)));
  return {
    accounting: account(acknowledged, perNode),
    rows: new Map(nodes.map((node, i) => [node.id, perNode[i]?.length ?? 0])),
  };
}
