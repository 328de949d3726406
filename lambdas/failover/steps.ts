/** The steps of the failover workflow, by the names that its definition uses. */
import { escalate, report, withdraw } from '../recovery/finish.ts';
import { executionNameOf } from '../recovery/step.ts';
import type { Capability } from '../recovery/step.ts';
import { failoverStateSchema } from './state.ts';
import type { FailoverState } from './state.ts';
import { choose } from './steps/choose.ts';
import { claim } from './steps/claim.ts';
import { fence } from './steps/fence.ts';
import { giveBack, leaveSafe } from './steps/give-back.ts';
import { promote } from './steps/promote.ts';
import { attach, awaitRunning, launch, seed, start } from './steps/revive.ts';
import { route } from './steps/route.ts';
import { secure } from './steps/secure.ts';
import { verify } from './steps/verify.ts';

export const failover: Capability<FailoverState> = {
  who: 'failover',
  schema: failoverStateSchema,
  defaults: ({ execution }) => ({ incident: `manual-${executionNameOf(execution)}` }),
  steps: {
    Claim: claim,
    Fence: fence,
    Choose: choose,
    Launch: launch,
    AwaitRunning: awaitRunning,
    Attach: attach,
    Seed: seed,
    Start: start,
    Promote: promote,
    Verify: verify,
    Route: route,
    Secure: secure,
    GiveBack: giveBack,
    Report: report,
    LeaveSafe: leaveSafe,
    Escalate: escalate,
    Withdraw: withdraw,
  },
};
