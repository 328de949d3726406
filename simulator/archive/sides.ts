/** The archive's side of each engine. */
import { SimPostgres } from '../postgres/cluster.ts';
import type { World } from '../world.ts';
import { SimArchive } from './archive.ts';
import { PostgresArchive } from './postgres/side.ts';

/** An archive doubles what a night costs, so that every fifth one of its engine has it: seeds 2, 12, 22 and so on. */
const hasArchive = (seed: number): boolean => seed % 10 === 2;

/** Null: the night has none, or the engine's archive is not simulated. */
export function archiveOf(world: World, seed: number): SimArchive | null {
  const { database } = world;
  return hasArchive(seed) && database instanceof SimPostgres
    ? new SimArchive(world, seed, (archive) => new PostgresArchive(world, archive, database))
    : null;
}
