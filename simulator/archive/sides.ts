/** The archive's side of each engine. */
import { GaleraModel } from '../galera/cluster.ts';
import { SimPostgres } from '../postgres/cluster.ts';
import type { World } from '../world.ts';
import { SimArchive } from './archive.ts';
import { GaleraArchive } from './galera/side.ts';
import { PostgresArchive } from './postgres/side.ts';

/** Null: the engine's archive is not simulated. */
export function archiveOf(world: World, seed: number): SimArchive | null {
  const { database } = world;
  if (database instanceof GaleraModel)
    return new SimArchive(world, seed, (archive) => new GaleraArchive(world, archive, database));
  return database instanceof SimPostgres
    ? new SimArchive(world, seed, (archive) => new PostgresArchive(world, archive, database))
    : null;
}
