/** Another account in another region, with a plane of its own: nothing of the first one is there. */
import { join } from 'node:path';
import { openAccount, worldOf } from './account.ts';
import type { Cleanup } from './cleanup.ts';
import type { Client } from './client/client.ts';
import { breakGround, type Ground } from './ground.ts';
import type { BuildOptions } from './options.ts';
import type { Timeline } from './ui/timeline.ts';
import type { World } from './world.ts';

const THERE = { account: '210987654321', region: 'eu-central-1' } as const;

/** Opens it, declares the same cluster there, and lets the plane run. `client` is who has written to the first one. */
export async function goElsewhere(
  options: BuildOptions,
  timeline: Timeline,
  cleanup: Cleanup,
  client: Client,
): Promise<{ readonly world: World; readonly ground: Ground }> {
  timeline.add('stage', `opening the account ${THERE.account} in ${THERE.region}, and deploying Rejoin there`);
  const dir = options.dir === null ? null : join(options.dir, 'elsewhere');
  const ground = await breakGround({ ...options, dir }, timeline, cleanup, THERE);
  const account = await openAccount(ground, options, timeline, cleanup, () => Promise.resolve());
  ground.cloud.run(account.stack);
  const nowhere = (): Promise<World> => Promise.reject(new Error('there is no third account'));
  return { ground, world: worldOf(account, client, timeline, nowhere) };
}
