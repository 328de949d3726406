/** A simulated PostgreSQL cluster whose plane is off: what a test does to it nobody mends. */
import type { DbCredentials } from '../../lambdas/cloud/ports.ts';
import { SimPostgres } from '../../simulator/postgres/cluster.ts';
import { World } from '../../simulator/world.ts';

export const CREDENTIALS: DbCredentials = { user: 'rejoin', password: 'fake' };

export interface Started {
  readonly world: World;
  readonly pg: SimPostgres;
  readonly primary: string;
  readonly replicas: readonly [string, string];
}

/** Three seconds after its beginning. Seeds that end with 0 are asynchronous. */
export async function started(seed: number): Promise<Started> {
  const world = new World(seed, 'postgres');
  world.planeOn = false;
  const { database } = world;
  if (!(database instanceof SimPostgres)) throw new Error('the world has another database');
  database.sluggish = 0;
  await pass(world, 3000);
  const [primary = '', a = '', b = ''] = world.instancesOf().map((i) => i.id);
  return { world, pg: database, primary, replicas: [a, b] };
}

export const pass = (world: World, ms: number): Promise<boolean> => world.clock.run(world.clock.nowMs() + ms);

export const target = (world: World, instanceId: string) => ({
  instanceId,
  host: world.addressOf(instanceId) ?? '',
  port: world.spec.engine.port,
});
