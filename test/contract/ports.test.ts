/** Every port, over the in-memory fake and over the AWS adapter against moto: the same behaviour is asked of both. */
import { afterAll, beforeAll, describe } from 'vitest';
import { fakeWorld } from './fake-world.ts';
import { motoWorld } from './moto-world.ts';
import { archiveContract } from './suites/archive.ts';
import { requestsContract, storesContract, workflowsContract } from './suites/control.ts';
import { instancesContract } from './suites/instances.ts';
import { ledgerContract } from './suites/ledger.ts';
import { postgresLedgerContract } from './suites/ledger-postgres.ts';
import { routingContract } from './suites/routing.ts';
import type { World } from './world.ts';

describe.each([
  ['the fakes', fakeWorld],
  ['the AWS adapters on moto', motoWorld],
])('%s', (_name, make) => {
  let made: World | undefined;
  const world = (): World => {
    if (made === undefined) throw new Error('the world is not made yet: use it inside a test');
    return made;
  };
  beforeAll(async () => {
    made = await make();
  });
  afterAll(async () => {
    await made?.stop();
  });
  ledgerContract(world);
  postgresLedgerContract(world);
  instancesContract(world);
  routingContract(world);
  workflowsContract(world);
  requestsContract(world);
  storesContract(world);
  archiveContract(world);
});
