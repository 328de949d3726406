/** The parts about PostgreSQL: one stretch of log is shipped by each contestant in turn, then restored from. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { POSTGRES_ACCOUNTS } from '../../rehearsal/host/postgres-template.ts';
import { ARCHIVE_SLOT } from '../../lambdas/model/postgres.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import { startDatabase, type Database, type Stretch } from './database.ts';
import type { Part } from './kinds.ts';
import type { ArchiveOptions } from './options.ts';
import { COMPRESSIONS, pgReceiveWal } from './pg-receivewal.ts';
import {
  archivePush,
  makeRepository,
  PGBACKREST_SETTINGS,
  pushCommand,
  type PgBackRestFacts,
  type Repository,
} from './pgbackrest.ts';
import type { Plane } from './plane.ts';
import { processCpu, race, type Outcome, type Race } from './race.ts';
import { rejoinPostgres } from './rejoin-postgres.ts';
import { pgBackRestRestore } from './restore-pgbackrest.ts';
import { backUpBase, rejoinRestore, type BaseBackup } from './restore-rejoin.ts';
import { CONTENT_SQL } from './restored.ts';
import type { World } from './world.ts';

/** A step that takes longer has come to grief. */
const WITHIN_SECONDS = 900;

export async function* measurePostgres(
  options: ArchiveOptions,
  world: World,
  plane: Plane,
  settings: Record<string, unknown>,
): AsyncGenerator<Outcome> {
  const asked = (part: Part): boolean => options.parts.includes(part);
  const folder = join(world.dir, 'postgres');
  await mkdir(folder);
  const database = await startDatabase(folder, options.sizeBytes, world.addresses, world.cleanup);
  world.say(`PostgreSQL has ${await database.sql('SELECT pg_size_pretty(pg_database_size(current_database()))')}`);
  await database.holdLog('bench_base');
  const peer = { dir: world.dir, database, s3: world.s3 };
  const backups = asked('restore') ? await backUp(peer, world) : null;
  await database.holdLog('bench_log');
  await database.writeLog(options.sizeBytes);
  const stretch = await database.stretch('bench_log');
  world.say(`${stretch.segments.length} segments of WAL, ${Math.round(stretch.bytes / 1e6)} MB, from ${stretch.start}`);
  settings['wal'] = { bytes: stretch.bytes, segments: stretch.segments.length };
  settings['pgbackrest'] = PGBACKREST_SETTINGS;
  await declare(plane, database);
  const ground = { stretch, database, world, plane };
  if (asked('wal')) yield* race(shipping(options, ground), world.runner, world.say);
  if (backups === null) return;
  yield* race(await restoring(options, ground, backups), world.runner, world.say);
}

interface Ready {
  readonly stretch: Stretch;
  readonly database: Database;
  readonly world: World;
  readonly plane: Plane;
}

const CLUSTER = 'orders';

async function declare(plane: Plane, database: Database): Promise<void> {
  const engine: ClusterSpec['engine'] = {
    kind: 'postgres',
    port: database.port,
    ...{ durability: 'async', maxLagBytes: 0, slots: 'physical' },
    replicationUser: POSTGRES_ACCOUNTS.replication.user,
  };
  await plane.declare({ name: CLUSTER, engine, address: database.address, ...POSTGRES_ACCOUNTS.probe });
}

/** Each contestant's base backup, of the same database, before the stretch is written. */
interface Backups {
  readonly repository: Repository;
  readonly base: BaseBackup;
}

async function backUp(peer: PgBackRestFacts, { dir, s3, say }: World): Promise<Backups> {
  const repository = await makeRepository('restore', peer);
  await repository.pgbackrest('backup', '--type=full');
  const base = await backUpBase(dir, peer.database, s3, CLUSTER);
  const theirs = await s3.kept(repository.bucket, 'repo/backup/');
  say(`base backups: pgBackRest ${Math.round(theirs.bytes / 1e6)} MB, Rejoin ${Math.round(base.storedBytes / 1e6)} MB`);
  return { repository, base };
}

const serversOf = ({ world, database }: Ready): Race['servers'] => ({
  s3: processCpu(world.s3.pid),
  postgresql: processCpu(database.pid),
});

function shipping(options: ArchiveOptions, ready: Ready): Race {
  const { world, database, stretch } = ready;
  const facts = { dir: world.dir, ram: world.ram, database, s3: world.s3 };
  const receivers = COMPRESSIONS.map((compression) => pgReceiveWal(compression, facts, stretch));
  return {
    ...{ part: 'wal', rounds: options.rounds, logBytes: stretch.bytes, withinSeconds: WITHIN_SECONDS },
    contestants: [
      rejoinPostgres({ ...facts, plane: ready.plane, cluster: CLUSTER }, stretch),
      archivePush(facts, stretch),
      ...receivers,
    ],
    servers: serversOf(ready),
  };
}

async function restoring(options: ArchiveOptions, ready: Ready, { repository, base }: Backups): Promise<Race> {
  const { world, database, plane } = ready;
  const stretch = await database.stretch('bench_base');
  await database.markReady(stretch.segments);
  const push = { name: 'push', command: pushCommand(repository, stretch), env: {}, cwd: database.dataDir };
  await world.runner.run(push, WITHIN_SECONDS);
  await database.resetSlot(ARCHIVE_SLOT, 'bench_base');
  await world.runner.run(plane.invocation('ship-postgres', CLUSTER, base.bucket), WITHIN_SECONDS);
  const content = await database.sql(CONTENT_SQL);
  // Its memory is not needed any more.
  await database.stop();
  const facts = { dir: world.dir, address: world.addresses.host(2, 1), content };
  return {
    ...{ part: 'restore', rounds: options.restoreRounds, logBytes: stretch.bytes, withinSeconds: WITHIN_SECONDS },
    contestants: [rejoinRestore(facts, base, world.s3), pgBackRestRestore(facts, repository)],
    servers: { s3: processCpu(world.s3.pid) },
  };
}
