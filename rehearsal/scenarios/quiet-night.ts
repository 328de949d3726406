import { setTimeout as sleep } from 'node:timers/promises';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { waitFor } from '../wait.ts';
import type { World } from '../world.ts';
import { both, type Scenario } from './scenario.ts';

/** Between two requests: each reconcile has come to its end before the next begins. */
const APART_MS = 1500;
const REQUESTS = 6;
const CALLS_AT_MOST = 6;
const CHANGES_SOMETHING = /:(?!(Describe|List|Get|BatchGet|Query))/;

export const quietNight: Scenario = {
  name: 'quiet-night',
  summary: 'nothing happens: a reconcile of the healthy cluster makes at most six AWS calls and changes nothing',
  promises: both({ writeOutageMs: 1000, writeErrors: 0, signalToRoutedMs: null, launches: 0 }),
  run: async (world) => {
    const faultAtMs = Date.now();
    // What building the world has left under way, and the container's first look at the secret, are not of this night.
    // With --kills neither is the one that is killed: its request comes back, and holds up those behind it until then.
    const cold = runs(world);
    await ask(world, 'warm');
    await waitFor('a first reconcile', () => runs(world) > cold, 30);
    await sleep(APART_MS);
    const mark = world.cloud.calls.mark();
    const before = runs(world);
    for (let i = 1; i <= REQUESTS; i++) {
      await ask(world, String(i));
      await sleep(APART_MS);
    }
    await waitFor('the reconciles to end', () => runs(world) - before >= REQUESTS, 20);
    const made =
      Object.entries(world.cloud.calls.byFunction(mark)).find(([name]) => name.includes('reconcile'))?.[1] ?? {};
    const ran = runs(world) - before;
    const perRun = Object.values(made).reduce((a, b) => a + b, 0) / ran;
    const list = Object.entries(made).map(([call, count]) => `${call} ${count / ran}`);
    world.timeline.add('check', `${ran} reconciles made ${perRun} AWS calls each: ${list.join(', ')}`);
    const changing = Object.keys(made).filter((call) => CHANGES_SOMETHING.test(call));
    if (perRun > CALLS_AT_MOST)
      throw new Error(
        `a reconcile of a healthy cluster makes ${perRun} AWS calls, ${CALLS_AT_MOST} are allowed: ${list.join(', ')}`,
      );
    if (changing.length > 0)
      throw new Error(`a reconcile of a healthy cluster changes something: ${changing.join(', ')}`);
    return { faultAtMs, signalAtMs: null, routedAtMs: null, rejoinedAtMs: null };
  },
};

const runs = (world: World): number =>
  world.cloud.lambdas.invocations.filter((i) => i.functionName.includes('reconcile') && i.outcome === 'done').length;

async function ask(world: World, cause: string): Promise<void> {
  const sqs = new SQSClient(world.cloud.adminConfig);
  await sqs.send(
    new SendMessageCommand({
      QueueUrl: world.reconcileQueue,
      MessageBody: JSON.stringify({ cluster: world.cluster, cause: `quiet-night-${cause}` }),
      MessageGroupId: world.cluster,
      MessageDeduplicationId: `quiet-night-${cause}`,
    }),
  );
  sqs.destroy();
}
