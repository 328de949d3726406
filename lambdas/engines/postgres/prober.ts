/** Asks one PostgreSQL node for its status, and says how it failed when it fails. */
import type { Socket } from 'node:net';
import type { DbCredentials, DbTarget, Prober } from '../../cloud/ports.ts';
import { keptProber, type ProbeConnection, type ProberOptions } from '../probing.ts';
import { Connection, type Row } from './connection.ts';
import { parseStatus, STATUS_SQL } from './status.ts';

/** Milliseconds within which a probe answers, unless said. The times of docs/postgres.md ("When failover starts") count on it. */
const DEADLINE_MS = 1000;

/** A session that nobody uses any more (its Lambda was put away) is ended by the server. */
const IDLE_MS = 900_000;

class ProbingConnection extends Connection implements ProbeConnection<readonly Row[]> {
  readonly #deadlineMs: number;

  constructor(socket: Socket, deadlineMs: number) {
    super(socket);
    this.#deadlineMs = deadlineMs;
  }

  override login(target: DbTarget, credentials: DbCredentials): Promise<void> {
    return super.login(target, credentials, { statement_timeout: this.#deadlineMs, idle_session_timeout: IDLE_MS });
  }

  async ask(): Promise<readonly Row[]> {
    return (await this.query(STATUS_SQL)).rows;
  }
}

/** A prober for PostgreSQL nodes. `probe` never throws and answers within the deadline. */
export function postgresProber(options: ProberOptions = {}): Prober {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  return keptProber(
    { connection: (socket) => new ProbingConnection(socket, deadlineMs), parse: parseStatus },
    { ...options, deadlineMs },
  );
}
