/**
 * Cutting a standby off from its upstream, and how it is known that it is. That the list of receivers is empty proves nothing:
 * one that is being started is in no list yet. It is the startup process that starts receivers, so its word counts.
 */
import { NodeRefused } from '../../cloud/ports.ts';
import type { Position } from '../../model/lsn.ts';
import type { Session } from './session.ts';
import { DISK_TIMELINE, STANDBY_LSN } from './status.ts';

/** How long a standby that is behind with replaying must have been without a receiver before that is believed. */
const QUIET_MS = 100;

/** One look at a standby that has been told to let go, and has no receiver. */
export interface LetGoLook {
  readonly atMs: number;
  /** What the startup process waits for; null while it works. */
  readonly startupWaits: string | null;
  readonly receivedLsn: string | null;
  readonly replayedLsn: string | null;
}

/**
 * Has the standby let go: nothing receives, nothing will. `looks` are those since a receiver was seen last, all of them after
 * the startup process was told of the new configuration. Two things prove it:
 *
 * 1. It waits until it may look for WAL again (`RecoveryRetrieveRetryInterval`). It comes there only without a receiver and
 *    with all of its own WAL replayed, and it reads the configuration before it would start another receiver.
 * 2. It is behind with replaying and got on twice: it reads the configuration between any two records. There has been no
 *    receiver for a while, and what was received stays the same.
 */
export function hasLetGo(looks: readonly LetGoLook[]): boolean {
  const [first] = looks;
  const last = looks.at(-1);
  if (first === undefined || last === undefined) return false;
  if (last.startupWaits === 'RecoveryRetrieveRetryInterval') return true;
  const replayed = new Set(looks.map((look) => look.replayedLsn));
  return (
    last.atMs - first.atMs >= QUIET_MS &&
    replayed.size >= 3 &&
    last.receivedLsn !== null &&
    looks.every((look) => look.receivedLsn === last.receivedLsn)
  );
}

/** Null while there is any trace of a receiver. */
async function look(session: Session): Promise<LetGoLook | null> {
  const [standby, receiver, startupWaits, receivedLsn, replayedLsn] = await session.row(`SELECT pg_is_in_recovery(),
    EXISTS (SELECT FROM pg_stat_wal_receiver) OR EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver'),
    (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'),
    pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()`);
  if (standby !== 't') throw notStandby(session);
  if (receiver === 't') return null;
  return {
    atMs: performance.now(),
    startupWaits: startupWaits ?? null,
    receivedLsn: receivedLsn ?? null,
    replayedLsn: replayedLsn ?? null,
  };
}

export const notStandby = (session: Session): NodeRefused =>
  new NodeRefused(`${session.where} is no standby: it accepts writes; expected pg_is_in_recovery()`);

/** Changes settings by ALTER SYSTEM, which outlasts a restart, and answers when they are in force. The lock is held. */
export async function alterSystem(session: Session, settings: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(settings))
    await session.query(`ALTER SYSTEM SET ${name} = ${quoteLiteral(value)}`);
  await session.reload();
  for (const [name, value] of Object.entries(settings)) {
    const now = await session.setting(name);
    if (now !== value) {
      throw new NodeRefused(
        `${session.where} keeps ${name} although ALTER SYSTEM changed it: is it set on the server's command line? Remove it there`,
      );
    }
  }
}

/** As a string constant of SQL, whatever it holds (standard_conforming_strings). */
export const quoteLiteral = (text: string): string =>
  text.includes('\\') ? `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'` : `'${text.replaceAll("'", "''")}'`;

/** Empties the upstream, and answers the standby's position when it can grow no more. */
export async function detachFrom(session: Session): Promise<Position> {
  await session.lockConfiguration();
  const [standby] = await session.row('SELECT pg_is_in_recovery()');
  if (standby !== 't') throw notStandby(session);
  await alterSystem(session, { primary_conninfo: '', primary_slot_name: '' });
  await session.reload(); // the second one: now the startup process has been told of the first
  let looks: LetGoLook[] = [];
  await session.until(async () => {
    const now = await look(session);
    looks = now === null ? [] : [...looks, now];
    return hasLetGo(looks) ? true : undefined;
  });
  const [timeline, lsn] = await session.row(`SELECT ${DISK_TIMELINE}, ${STANDBY_LSN}`);
  if (timeline == null || lsn == null)
    throw new NodeRefused(`${session.where} does not know how far it has come: timeline ${timeline}, LSN ${lsn}`);
  return { timeline: Number(timeline), lsn };
}
