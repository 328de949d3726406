/** What can be done to any scenario beside its own fault: events that are lost or doubled, functions that are killed. */
import type { Cloud } from './cloud/cloud.ts';
import type { EventsMode } from './options.ts';

/** Functions that carry out the steps of workflows. */
export const STEP_FUNCTIONS = ['replace', 'bootstrap', 'failover', 'switchover', 'rolling'] as const;

/** Begins when the scenario does: building the world is not part of the night. */
export function begin(cloud: Cloud, variant: { readonly events: EventsMode; readonly kills: boolean }): void {
  switch (variant.events) {
    case 'normal':
      break;
    case 'lost':
      cloud.events.setMode('drop');
      break;
    case 'doubled':
      cloud.events.setMode('double');
  }
  if (!variant.kills) return;
  cloud.kills.everyStep(STEP_FUNCTIONS);
  for (const functionName of ['reconcile', 'watch']) {
    cloud.kills.add({ functionName, atCall: 1, moment: 'after', times: 1 });
  }
}
