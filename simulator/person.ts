/** A person who was told, looks every minute, and does what the runbook says. */
import { releaseBrake } from './bad-moments.ts';
import { endMaintenance } from './faults.ts';
import type { World } from './world.ts';

const LOOK_MS = 60_000;

export function callPerson(w: World): void {
  const look = (): void => {
    endMaintenance(w);
    helps(w);
    w.clock.in(LOOK_MS, look);
  };
  w.clock.in(LOOK_MS, look);
}

/** The brake: released when they were told of it. Then: nobody takes writes, people were told, and the plane is not at work. */
function helps(w: World): void {
  if (w.aws.published.some((p) => p.subject.includes('BRAKE'))) releaseBrake(w);
  const busy = [...w.aws.executions.values()].some((e) => e.state === 'RUNNING');
  const told = w.aws.published.some((p) => w.side.stuck.told.test(p.subject));
  if (!busy && told) w.side.help();
}
