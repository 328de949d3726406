/** Faults that wait for the moment at which they hurt. */
import type { Fault } from './faults.ts';
import { STRANGER } from './strangers.ts';
import type { World } from './world.ts';

/** For so long a fault waits for its moment, and not beyond the faults' end. */
const WAITS_MS = 300_000;
const LOOK_MS = 500;

/** Runs `act` when a workflow has held the claim for `afterMs`, if one comes to hold it. */
function whenClaimed(w: World, afterMs: number, act: () => void): void {
  const untilMs = w.clock.nowMs() + WAITS_MS;
  const look = (): void => {
    if (w.isCalm || w.clock.nowMs() > untilMs) return;
    if (w.ledger().claim === null) return w.clock.in(LOOK_MS, look);
    w.clock.in(afterMs, () => {
      if (!w.isCalm) act();
    });
  };
  look();
}

export function releaseBrake(w: World): void {
  if (w.aws.brake.engaged) void w.functions.operate({ action: 'release-brake', by: 'sim' });
}

export const brake: Fault = (w) => {
  engage(w, w.random.int(20_000, 180_000));
  return 'the fleet brake is engaged';
};

function engage(w: World, forMs: number): void {
  void w.cloud.ledger.engageBrake('other clusters fail', w.clock.nowMs());
  w.clock.in(forMs, () => releaseBrake(w));
}

export const brakeMidway: Fault = (w) => {
  const [afterMs, forMs] = [w.random.int(0, 15_000), w.random.int(30_000, 180_000)];
  whenClaimed(w, afterMs, () => {
    w.story.tell('fault', 'the fleet brake is engaged in the middle of a recovery');
    engage(w, forMs);
  });
  return 'the fleet brake waits for the next recovery';
};

/** Nodes of another cluster fail: with the next one of ours the brake engages by itself. */
export const othersFail: Fault = (w) => {
  const atMs = w.clock.nowMs();
  for (const node of ['one', 'two', 'three', 'four'])
    void w.cloud.ledger.noteFailure({ cluster: STRANGER, node, atMs, knownSinceMs: atMs });
  w.clock.in(w.random.int(60_000, 240_000), () => releaseBrake(w));
  return `four nodes of ${STRANGER} fail`;
};

/**
 * SQS gives each message out twice, and one of the two functions gets its answers late: it acts on what was so seconds ago. A
 * database dies meanwhile, so that there is something to do.
 */
export const slowTwins: Fault = (w) => {
  const ms = w.random.int(20_000, 90_000);
  w.twinsUntilMs = w.clock.nowMs() + ms;
  const { writer } = w.ledger();
  const dies = w.random.chance(0.6) ? writer : w.random.pick(w.instancesOf())?.id;
  w.clock.in(w.random.int(0, 5000), () => {
    if (dies == null || w.isCalm) return;
    w.unattended.struck();
    w.story.tell('fault', `the database on ${dies} is killed`);
    w.database.crash(dies);
  });
  return `for ${ms} ms each reconcile has a twin that is slow`;
};
