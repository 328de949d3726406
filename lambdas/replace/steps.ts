/** The steps of the replacement workflow, by the names that its definition uses. */
import { escalate, report, withdraw } from '../recovery/finish.ts';
import type { Capability } from '../recovery/step.ts';
import { replaceStateSchema } from './state.ts';
import type { ReplaceState } from './state.ts';
import { attach } from './steps/attach.ts';
import { awaitCaughtUp } from './steps/await-caught-up.ts';
import { awaitRunning } from './steps/await-running.ts';
import { claim } from './steps/claim.ts';
import { fence } from './steps/fence.ts';
import { joinCluster } from './steps/join-cluster.ts';
import { launch } from './steps/launch.ts';
import { leaveSafe } from './steps/leave-safe.ts';
import { rejoinInPlace } from './steps/rejoin-in-place.ts';
import { reseed } from './steps/reseed.ts';
import { retire } from './steps/retire.ts';
import { route } from './steps/route.ts';
import { seed } from './steps/seed.ts';

export const replacement: Capability<ReplaceState> = {
  who: 'replace',
  schema: replaceStateSchema,
  steps: {
    Claim: claim,
    RejoinInPlace: rejoinInPlace,
    AwaitRejoined: awaitCaughtUp,
    Fence: fence,
    Launch: launch,
    AwaitRunning: awaitRunning,
    Attach: attach,
    Seed: seed,
    Join: joinCluster,
    AwaitCaughtUp: awaitCaughtUp,
    Reseed: reseed,
    Route: route,
    Retire: retire,
    Report: report,
    LeaveSafe: leaveSafe,
    Escalate: escalate,
    Withdraw: withdraw,
  },
};
