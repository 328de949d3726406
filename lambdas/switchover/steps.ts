/** The steps of the switchover workflow, by the names that its definition uses. */
import { report, stopAndTell, withdraw } from '../recovery/finish.ts';
import { givingWay } from '../recovery/give-way.ts';
import { executionNameOf } from '../recovery/step.ts';
import type { Capability } from '../recovery/step.ts';
import { switchoverStateSchema } from './state.ts';
import type { SwitchoverState } from './state.ts';
import { follow, route, verify } from './steps/after.ts';
import { checkpoint } from './steps/checkpoint.ts';
import { claim } from './steps/claim.ts';
import { promote } from './steps/promote.ts';
import { resume } from './steps/resume.ts';
import { stopOld } from './steps/stop-old.ts';

export const switchover: Capability<SwitchoverState> = {
  who: 'switchover',
  schema: switchoverStateSchema,
  defaults: ({ execution }) => ({ incident: `manual-${executionNameOf(execution)}` }),
  steps: {
    Claim: claim,
    Checkpoint: checkpoint,
    StopOld: stopOld,
    Promote: promote,
    Verify: verify,
    // There is a new primary by now. Is it lost, a failover has to begin, and needs the claim.
    Route: givingWay(route),
    Follow: givingWay(follow),
    Report: report,
    Resume: resume,
    // No escalation: nothing waits to be tried again, and what is lost is reconcile's to see.
    Escalate: stopAndTell,
    Withdraw: withdraw,
  },
};
