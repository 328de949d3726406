/** What a restored database is looked at for, and how it is configured: the same for every contestant. */
import { readFile } from 'node:fs/promises';
import { PG_BIN, POSTGRES_ACCOUNTS } from '../../rehearsal/host/postgres-template.ts';

/** Beyond the configuration of an emulated host: the size of the server that wrote the log. */
export const RESTORED_SETTINGS = `
shared_buffers = 256MB
max_wal_size = 1GB
checkpoint_timeout = 1h
autovacuum = off
`;

/** The last rows that were written are there, and all before them. */
export const CONTENT_SQL = `SELECT count(*) || ' moves up to ' || max(id) FROM moves`;

/**
 * Goes on after the measured command, in the background: writes what the database holds, then ends it, so that what is measured
 * comes to an end.  $1 socket's folder, $2 port, $3 data directory, $4 file for the content. `become`: in
 * front of what the database's user alone may do.
 */
export const ending = (become: readonly string[]): string => `(
  "${PG_BIN}/psql" -XAtq -h "$1" -p "$2" -U postgres -d ${POSTGRES_ACCOUNTS.app.database} -c "${CONTENT_SQL}" >"$4" 2>&1
  ${become.join(' ')} "${PG_BIN}/pg_ctl" stop -s -D "$3" -m immediate
) </dev/null >/dev/null 2>&1 &`;

/** @throws Error when the restored database held something else than the one that was backed up. */
export async function expectContent(file: string, expected: string): Promise<void> {
  const found = (await readFile(file, 'utf8')).trim();
  if (found !== expected)
    throw new Error(`the restored database has ${JSON.stringify(found)}; expected ${JSON.stringify(expected)}`);
}
