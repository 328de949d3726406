/** What the plane changes on PostgreSQL nodes. Each change is a session of its own, which the server ends when we do not. */
import type { Socket } from 'node:net';
import {
  Conflict,
  type DbCredentials,
  type DbTarget,
  NodeRefused,
  NodeUnavailable,
  type PostgresAdmin,
  type SlotChanges,
  type Upstream,
} from '../../cloud/ports.ts';
import { isLsn, type Position } from '../../model/lsn.ts';
import { slotOf, type UsedTimelines } from '../../model/postgres.ts';
import { plainConnect } from '../probing.ts';
import { StatementRefused } from './connection.ts';
import { alterSystem, detachFrom, notStandby, quoteLiteral } from './detach.ts';
import { type Session, Sessions } from './session.ts';
import { PRIMARY_TIMELINE } from './status.ts';

/** Limits in milliseconds. */
const LIMITS = { change: 1500, promote: 5000, acknowledge: 1000, giveUp: 500, checkpoint: 60_000 } as const;

export interface AdminOptions {
  /** How sockets are made. */
  readonly connect?: (host: string, port: number) => Socket;
}

/** A value of a connection string. https://www.postgresql.org/docs/15/libpq-connect.html#id-1.7.3.8.3.5 */
const conninfoValue = (value: string): string =>
  /^[\w.:-]+$/.test(value) ? value : `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

/**
 * How a standby finds its upstream. Neither password nor TLS: these come from the service's environment on the host
 * (PGPASSFILE, PGSSLMODE), as docs/hosts.md says.
 */
export const conninfo = (instanceId: string, { host, port, user }: Upstream): string =>
  `host=${conninfoValue(host)} port=${port} user=${conninfoValue(user)} application_name=${conninfoValue(instanceId)}`;

async function follow(session: Session, instanceId: string, upstream: Upstream): Promise<void> {
  await session.lockConfiguration();
  const [standby] = await session.row('SELECT pg_is_in_recovery()');
  if (standby !== 't') throw notStandby(session);
  await alterSystem(session, {
    primary_slot_name: upstream.slot ?? '',
    primary_conninfo: conninfo(instanceId, upstream),
  });
}

/**
 * PostgreSQL takes ALTER SYSTEM in no transaction and no function, so the comparison is a statement of its own. Between the two
 * nobody else of the plane can change the setting (the lock), and a hand that is held up there loses its session.
 */
async function setSync(session: Session, expected: string | null, next: string): Promise<void> {
  await session.lockConfiguration();
  await session.reload(); // what the files say, and not what this session was born with
  const now = await session.setting('synchronous_standby_names');
  if (now !== next) {
    if (expected !== null && now !== expected) {
      throw new Conflict(
        `${session.where} has synchronous_standby_names ${JSON.stringify(now)}; expected ${JSON.stringify(expected)}`,
      );
    }
    await alterSystem(session, { synchronous_standby_names: next });
  }
  await session.reload(); // every process has been told of the change
}

/** A statement that finds done what it should do, or finds that it must not, is as good: `sqlStates` say so. */
async function unless(sqlStates: readonly string[], doing: Promise<unknown>): Promise<void> {
  try {
    await doing;
  } catch (error) {
    if (!(error instanceof StatementRefused && sqlStates.includes(error.sqlState))) throw error;
  }
}

/** A slot's name as a string constant; takes a node's name too. */
function slotLiteral(name: string): string {
  const slot = slotOf(name);
  if (!/^[a-z0-9_]{1,63}$/.test(slot)) {
    throw new RangeError(
      `${JSON.stringify(name)} cannot name a slot: expected up to 63 lower-case letters, digits, hyphens and underscores`,
    );
  }
  return quoteLiteral(slot);
}

const DUPLICATE = '42710';
const MISSING = '42704';
const IN_USE = '55006';

async function setSlots(session: Session, { create, drop, advance = {} }: SlotChanges): Promise<void> {
  for (const name of create.map(slotLiteral)) {
    const made = session.query(`SELECT pg_create_physical_replication_slot(${name}, true)
      WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = ${name})`);
    await unless([DUPLICATE], made);
  }
  for (const name of drop.map(slotLiteral)) {
    const dropped = session.query(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = ${name} AND NOT active`,
    );
    await unless([MISSING, IN_USE], dropped);
  }
  for (const [name, lsn] of Object.entries(advance)) {
    if (!isLsn(lsn)) throw new RangeError(`${JSON.stringify(lsn)} is no LSN to move slot ${name} to`);
    // A standby moves it no farther than it has replayed.
    const moved = session.query(
      `SELECT pg_replication_slot_advance(slot_name, '${lsn}') FROM pg_replication_slots WHERE slot_name = ${slotLiteral(name)}
         AND NOT active AND restart_lsn < '${lsn}' AND (NOT pg_is_in_recovery() OR restart_lsn < pg_last_wal_replay_lsn())`,
    );
    await unless([MISSING, IN_USE], moved);
  }
}

const NO_FUNCTION = '42883';

/** A promotion takes the first number that has no history file (`findNewestTimeLine` of PostgreSQL's timeline.c). */
async function passOver(session: Session, { from, to }: UsedTimelines): Promise<boolean> {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to))
    throw new RangeError(`${from} to ${to}: expected numbers of timelines`);
  try {
    await session.query(`SELECT rejoin.pass_over_timelines(${from}, ${to})`);
    return true;
  } catch (error) {
    if (error instanceof StatementRefused && error.sqlState === NO_FUNCTION) return false;
    throw error;
  }
}

async function promote(session: Session): Promise<void> {
  const [standby] = await session.row('SELECT pg_is_in_recovery()');
  if (standby !== 't') return;
  await session.query('SELECT pg_promote(false)');
  await session.until(async () => {
    const [still] = await session.row('SELECT pg_is_in_recovery()');
    return still === 't' ? undefined : true;
  });
}

/** Is told the server process that may be left waiting for acknowledgements. */
async function writeOnce(session: Session, waiting: (pid: string) => void): Promise<Position> {
  const [pid, standby] = await session.row('SELECT pg_backend_pid(), pg_is_in_recovery()');
  if (standby === 't') throw new NodeRefused(`${session.where} is a standby: it accepts no writes`);
  waiting(pid ?? '');
  const { warnings } = await session.query("SELECT pg_logical_emit_message(true, 'rejoin', 'verify')");
  // A wait that somebody cancelled ends as a commit, with nothing but a warning.
  if (warnings.length > 0) {
    throw new NodeUnavailable(
      `${session.where} committed without the acknowledgements that it asks for: ${warnings.join('; ')}`,
    );
  }
  const [timeline, lsn] = await session.row(`SELECT ${PRIMARY_TIMELINE}, pg_current_wal_flush_lsn()`);
  return { timeline: Number(timeline), lsn: lsn ?? '' };
}

/** `PostgresAdmin` over SQL. A change that was not answered in time may still be carried out; none is carried out twice. */
export function postgresAdmin({ connect = plainConnect }: AdminOptions = {}): PostgresAdmin {
  const sessions = new Sessions(connect);
  const change = <T>(
    [target, credentials]: readonly [DbTarget, DbCredentials],
    doing: string,
    act: (session: Session) => Promise<T>,
    deadlineMs: number = LIMITS.change,
  ): Promise<T> => sessions.run({ target, credentials, deadlineMs, doing }, act);

  return {
    detach: (target, credentials) => change([target, credentials], 'detaching', detachFrom),

    follow: (target, credentials, upstream) =>
      change([target, credentials], `following ${upstream.host}`, (s) => follow(s, target.instanceId, upstream)),

    setSync: (target, credentials, expected, next) =>
      change([target, credentials], 'setting synchronous_standby_names', (s) => setSync(s, expected, next)),

    setSlots: (target, credentials, slots) =>
      change([target, credentials], 'setting its slots', (s) => setSlots(s, slots)),

    passOver: (target, credentials, used) =>
      change([target, credentials], 'passing over timelines', (s) => passOver(s, used)),

    promote: (target, credentials) => change([target, credentials], 'promotion', promote, LIMITS.promote),

    async verifyWritable(target, credentials) {
      let pid = '';
      try {
        const write = (s: Session): Promise<Position> => writeOnce(s, (waiting) => (pid = waiting));
        return await change([target, credentials], 'a write of its own', write, LIMITS.acknowledge);
      } catch (error) {
        // Such a wait ends neither by a time limit of the server's nor by our going away.
        if (error instanceof NodeUnavailable && pid !== '') {
          const end = (s: Session): Promise<unknown> => s.query(`SELECT pg_terminate_backend(${pid})`);
          await change([target, credentials], 'ending that wait', end, LIMITS.giveUp).catch(() => undefined);
        }
        throw error;
      }
    },

    checkpoint: (target, credentials) =>
      change([target, credentials], 'a checkpoint', async (s) => void (await s.query('CHECKPOINT')), LIMITS.checkpoint),

    close: async () => sessions.close(),
  };
}
