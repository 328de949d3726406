/**
 * From one row of one statement to what a PostgreSQL node says of itself.
 * https://www.postgresql.org/docs/15/monitoring-stats.html and https://www.postgresql.org/docs/15/functions-admin.html
 */
import * as z from 'zod/mini';
import { isLsn } from '../../model/lsn.ts';
import type { DiskSpace, PostgresStatus } from '../../model/postgres.ts';
import { ARCHIVE_SLOT } from '../../model/postgres.ts';
import type { ParsedStatus } from '../probing.ts';
import type { Row } from './connection.ts';

/** A standby's place: a receiver that has just begun counts from the start of its segment, which has been replayed already. */
export const STANDBY_LSN = 'greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())';

/** True at once after a promotion, when the control file still names the old timeline until the checkpoint. */
export const PRIMARY_TIMELINE = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int";

/**
 * The timeline of a standby's place when no receiver tells it. The control file lags behind (it is written at restartpoints), so
 * the files count too: the segment of that place, of the highest timeline whose history is there. A segment without its
 * history is of a promotion that was never finished.
 */
export const DISK_TIMELINE = `(SELECT greatest((SELECT timeline_id FROM pg_control_checkpoint()),
    (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
    (SELECT max(('x' || tli)::bit(32)::int) FROM (
      SELECT substr(w.name, 1, 8) AS tli FROM pg_ls_waldir() AS w, (
        SELECT trunc((${STANDBY_LSN} - '0/0'::pg_lsn - 1) / size) AS segment, trunc(4294967296 / size) AS per_log
          FROM (SELECT pg_size_bytes(current_setting('wal_segment_size'))::numeric AS size) AS s) AS place
       WHERE w.name ~ '^[0-9A-F]{24}$' AND substr(w.name, 9) =
             upper(lpad(to_hex(trunc(segment / per_log)::bigint), 8, '0') || lpad(to_hex((segment % per_log)::bigint), 8, '0'))
         AND (w.name ~ '^00000001' OR EXISTS (SELECT FROM pg_ls_waldir() AS h WHERE h.name = substr(w.name, 1, 8) || '.history'))
    ) AS files)))`;

/**
 * Answers one row with one JSON text, on primaries and standbys alike. Whether it is a standby is asked once: a promotion in the
 * middle only ever adds to what may be asked. `primary_conninfo` is cut to its host on the server: it may hold a password.
 */
export const STATUS_SQL = `WITH me AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby),
  receiver AS MATERIALIZED (SELECT * FROM pg_stat_wal_receiver)
SELECT json_build_object(
  'inRecovery', standby,
  'systemId', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', CASE WHEN standby THEN coalesce((SELECT received_tli FROM receiver), ${DISK_TIMELINE}) ELSE ${PRIMARY_TIMELINE} END,
  'lsn', CASE WHEN standby THEN ${STANDBY_LSN} ELSE pg_current_wal_flush_lsn() END,
  'replayLsn', CASE WHEN standby THEN pg_last_wal_replay_lsn() END,
  'replayLagSeconds', CASE WHEN standby THEN
    greatest(0, extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())) END,
  'receiver', (SELECT json_build_object('status', status, 'senderHost', sender_host, 'slot', nullif(slot_name, ''),
    'lastMessageAgoMs', greatest(0, round(extract(epoch FROM clock_timestamp() - last_msg_receipt_time) * 1000)),
    'timeline', received_tli) FROM receiver WHERE standby),
  'followsHost', CASE WHEN standby THEN
    (regexp_match(current_setting('primary_conninfo'), '(?:^|\\s)host(?:addr)?\\s*=\\s*''?([^''\\s]+)'))[1] END,
  'standbys', (SELECT coalesce(json_agg(json_build_object('node', application_name, 'state', state, 'syncState', sync_state,
    'flushLsn', flush_lsn, 'replayLsn', replay_lsn) ORDER BY application_name), '[]') FROM pg_stat_replication
    WHERE application_name <> '${ARCHIVE_SLOT}'),
  'slots', (SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active, 'restartLsn', restart_lsn,
    'walStatus', wal_status) ORDER BY slot_name), '[]') FROM pg_replication_slots
    WHERE slot_type = 'physical' AND NOT temporary),
  'synchronousStandbyNames', current_setting('synchronous_standby_names'),
  'disk', rejoin.disk())::text FROM me`;

const lsn = z.string().check(z.refine(isLsn, 'no LSN'));
const count = z.number().check(z.gte(0));
const timeline = z.number().check(z.int(), z.gte(1));

const statusSchema = z.strictObject({
  inRecovery: z.boolean(),
  systemId: z.string().check(z.regex(/^\d+$/)),
  timeline,
  lsn,
  replayLsn: z.nullable(lsn),
  replayLagSeconds: z.nullable(count),
  receiver: z.nullable(
    z.strictObject({
      status: z.string(),
      senderHost: z.nullable(z.string()),
      slot: z.nullable(z.string()),
      lastMessageAgoMs: z.nullable(count),
      timeline,
    }),
  ),
  followsHost: z.nullable(z.string()),
  standbys: z.array(
    z.strictObject({
      node: z.string(),
      state: z.string(),
      syncState: z.string(),
      flushLsn: z.nullable(lsn),
      replayLsn: z.nullable(lsn),
    }),
  ),
  slots: z.array(
    z.strictObject({
      name: z.string(),
      active: z.boolean(),
      restartLsn: z.nullable(lsn),
      walStatus: z.nullable(z.string()),
    }),
  ),
  synchronousStandbyNames: z.string(),
  disk: z.nullable(z.string()),
});

/** "<total> <available>" in bytes, as the host's timer writes it; null for anything else: then the host does not say. */
export function parseDisk(text: string | null): DiskSpace | null {
  const [, total, available] = /^(\d{1,15}) (\d{1,15})\s*$/.exec(text ?? '') ?? [];
  return total === undefined || available === undefined
    ? null
    : { totalBytes: Number(total), availableBytes: Number(available) };
}

/** Never throws. */
export function parseStatus(rows: readonly Row[]): ParsedStatus<PostgresStatus> {
  const text = rows[0]?.[0];
  if (rows.length !== 1 || typeof text !== 'string')
    return { ok: false, reason: `it answers the status query with ${rows.length} rows; expected one with JSON` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ok: false, reason: `its status is no JSON: ${String(error)}` };
  }
  const parsed = statusSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { ok: false, reason: `its status is not as expected at ${issue?.path.join('.')}: ${issue?.message}` };
  }
  const { disk, ...rest } = parsed.data;
  return { ok: true, status: { engine: 'postgres', ...rest, disk: parseDisk(disk) } };
}
