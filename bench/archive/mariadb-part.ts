/** The part about MariaDB: the same binlogs are shipped by each contestant in turn. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatGtidPosition } from '../../lambdas/model/archive/gtid.ts';
import { parseKey, type BinlogObject } from '../../lambdas/model/archive/keys.ts';
import { OURS } from './figures.ts';
import type { Contestant } from './kinds.ts';
import { mariadbBinlog } from './mariadb-binlog.ts';
import { startMariaDb, type Binlogs } from './mariadb.ts';
import type { ArchiveOptions } from './options.ts';
import type { Plane } from './plane.ts';
import { processCpu, race, type Outcome, type Race } from './race.ts';
import type { LocalS3 } from './s3.ts';
import type { World } from './world.ts';

const WITHIN_SECONDS = 900;
const CLUSTER = 'shop';

export async function* measureMariaDb(
  options: ArchiveOptions,
  world: World,
  plane: Plane,
  settings: Record<string, unknown>,
): AsyncGenerator<Outcome> {
  const folder = join(world.dir, 'mariadb');
  await mkdir(folder);
  const server = await startMariaDb(folder, world.addresses.host(3, 1), world.cleanup);
  const binlogs = await server.writeLog(options.sizeBytes);
  world.say(`${binlogs.files.length} binlogs, ${Math.round(binlogs.bytes / 1e6)} MB, up to ${binlogs.gtid}`);
  settings['binlogs'] = { bytes: binlogs.bytes, files: binlogs.files.length };
  const engine = { kind: 'galera', port: server.port } as const;
  await plane.declare({ name: CLUSTER, engine, address: server.address, ...server.account });
  const what: Race = {
    ...{ part: 'binlog', rounds: options.rounds, logBytes: binlogs.bytes, withinSeconds: WITHIN_SECONDS },
    contestants: [
      rejoinMariaDb(plane, world.s3, binlogs),
      mariadbBinlog(world.ram, server, binlogs, true),
      mariadbBinlog(world.ram, server, binlogs, false),
    ],
    servers: { s3: processCpu(world.s3.pid), mariadb: processCpu(server.pid) },
  };
  yield* race(what, world.runner, world.say);
}

/** This plane's shipper: the deployed bundle of `ship-galera`, invoked once, until it has all. */
function rejoinMariaDb(plane: Plane, s3: LocalS3, binlogs: Binlogs): Contestant {
  return {
    name: OURS,
    async prepare(round) {
      const bucket = `rejoin-binlog-${round}`;
      await s3.makeBucket(bucket);
      return {
        steps: [plane.invocation('ship-galera', CLUSTER, bucket)],
        check: async () => {
          const keys = await s3.keys(bucket);
          expectChain(
            keys.map(({ key }) => key),
            binlogs.gtid,
          );
          return { kept: await s3.kept(bucket) };
        },
        clear: () => s3.removeBucket(bucket),
      };
    },
  };
}

/** Throws when the objects do not follow each other from nothing to the server's position. */
export function expectChain(keys: readonly string[], gtid: string): void {
  const objects = keys.flatMap((key): BinlogObject[] => {
    const object = parseKey(key)?.object;
    return object?.kind === 'binlog' ? [object] : [];
  });
  let at = '';
  for (let left = objects; left.length > 0;) {
    const next = left.find(({ after }) => formatGtidPosition(after) === at);
    if (next === undefined) throw new Error(`no object goes on after ${at === '' ? 'nothing' : at}`);
    left = left.filter((object) => object !== next);
    at = formatGtidPosition(next.upTo);
  }
  if (at !== gtid) throw new Error(`the archive ends at ${at === '' ? 'nothing' : at}; expected ${gtid}`);
}
