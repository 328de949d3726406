import { answersOn } from '../answers.ts';
import type { Measured, World } from '../world.ts';
import { heal } from './healing.ts';
import type { Scenario } from './scenario.ts';

/** When the frozen primary wakes up: when it can no longer acknowledge, and when its successor is in service. */
const MOMENTS = ['Fence', 'Route'] as const;

export const returnOfThePrimary: Scenario = {
  name: 'return-of-the-primary',
  summary:
    'the primary is frozen and comes back while the failover runs, and another time after traffic has gone to its successor: it acknowledges nothing and becomes a replica',
  promises: { postgres: { writeOutageMs: 5000, writeErrors: null, signalToRoutedMs: null, launches: 0 } },
  run: async (world) => {
    const first = await comeBack(world, MOMENTS[0]);
    await comeBack(world, MOMENTS[1]);
    return first;
  },
};

async function comeBack(world: World, step: (typeof MOMENTS)[number]): Promise<Measured> {
  const writer = world.writer();
  let woken = false;
  world.atStep(step, 'ended', async () => {
    world.timeline.add('fault', `the old primary ${writer} wakes up right after the step ${step}`);
    await world.hosts.thaw(writer);
    woken = true;
  });
  const measured = await heal(world, [writer], async () => {
    world.timeline.add('fault', `SIGSTOP to the database of the primary ${writer}`);
    await world.hosts.freeze(writer);
  });
  if (!woken)
    throw new Error(`the step ${step} never ended: the old primary never came back, the scenario shows nothing`);
  if (world.writer() === writer)
    throw new Error(`the frozen primary ${writer} is the writer again: there was no failover`);
  const answers = await answersOn(world.hosts.get(writer)?.hostDir ?? '');
  if (!answers.some((a) => a['rewound'] === true)) {
    throw new Error(`${writer} was not rewound; the scripts answered ${JSON.stringify(answers)}`);
  }
  world.timeline.add('check', `${writer} was rewound and is a replica of ${world.writer()}`);
  return measured;
}
