-- The two roles that Rejoin needs, with no right beyond what it uses. Run once on a cluster's primary, as a superuser, in the
-- database "postgres"; it may be run again:
--
--   psql --dbname=postgres --file=setup.sql [--set=plane=rejoin] [--set=replication=rejoin_replication]
--
-- No password is set here. Set them with psql's \password (SCRAM; the plane accepts no other method):
-- that of the plane goes to Secrets Manager, that of the replication role to the passfile of each host.
\set ON_ERROR_STOP on
\if :{?plane} \else
\set plane rejoin
\endif
\if :{?replication} \else
\set replication rejoin_replication
\endif

SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY[:'plane', :'replication']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- The plane: looks, points standbys at their upstream, keeps slots and the quorum, promotes.
ALTER ROLE :"plane" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE REPLICATION; -- REPLICATION: to make and drop slots
GRANT pg_monitor, pg_checkpoint TO :"plane";
GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name, synchronous_standby_names TO :"plane";
GRANT EXECUTE ON FUNCTION pg_reload_conf(), pg_promote(boolean, integer) TO :"plane";

-- Space of the data directory's file system: a timer on the host writes "<total> <available>", in bytes, into one file. One
-- that has not been written for five minutes says nothing any more.
CREATE SCHEMA IF NOT EXISTS rejoin;
CREATE OR REPLACE FUNCTION rejoin.disk() RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT pg_read_file('rejoin-disk', 0, 64, true)
         WHERE (pg_stat_file('rejoin-disk', true)).modification > clock_timestamp() - interval '5 minutes' $$;

-- A promotion begins the timeline after the last number that has a history file. Another server may have begun that one, and this
-- standby not have heard of it: two logs of one number, which neither the archive nor pg_rewind can tell apart. So the numbers that
-- may be used get a file here before, which names no parent: PostgreSQL never follows it, and hands it to standbys like any other.
-- It works on standbys only, and leaves files alone that are there.
CREATE OR REPLACE FUNCTION rejoin.pass_over_timelines(first int, last int) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
  DECLARE
    file text;
  BEGIN
    IF first < 2 OR last - first > 1000 THEN
      RAISE EXCEPTION 'timelines % to %: expected numbers above 1, and at most 1000 of them', first, last;
    END IF;
    FOR number IN first .. last LOOP
      file := format('%s/pg_wal/%s.history', current_setting('data_directory'), lpad(upper(to_hex(number)), 8, '0'));
      CONTINUE WHEN NOT pg_is_in_recovery() OR (pg_stat_file(file, true)).size IS NOT NULL;
      EXECUTE format('COPY (SELECT %L) TO %L', '# begun by another server, not part of this history', file);
    END LOOP;
  END $$;

REVOKE ALL ON SCHEMA rejoin FROM PUBLIC;
REVOKE ALL ON FUNCTION rejoin.disk(), rejoin.pass_over_timelines(int, int) FROM PUBLIC;
GRANT USAGE ON SCHEMA rejoin TO :"plane";
GRANT EXECUTE ON FUNCTION rejoin.disk(), rejoin.pass_over_timelines(int, int) TO :"plane";

-- Replicas stream, take base backups and run pg_rewind as this role. What pg_rewind reads:
-- https://www.postgresql.org/docs/15/app-pgrewind.html
ALTER ROLE :"replication" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE REPLICATION;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text),
  pg_read_binary_file(text, bigint, bigint, boolean) TO :"replication";
-- Right after a promotion the primary's control file names the old timeline, and pg_rewind believes it: a checkpoint mends that.
GRANT pg_checkpoint TO :"replication";
