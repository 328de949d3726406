/** The steps of the replacement workflow, by the names that its definition uses. */
import { escalate, report, withdraw } from '../recovery/finish.ts';
import { givingWay } from '../recovery/give-way.ts';
import type { Capability } from '../recovery/step.ts';
import type { SeedPorts } from './ports.ts';
import { replaceStateSchema } from './state.ts';
import type { ReplaceState } from './state.ts';
import { attach } from './steps/attach.ts';
import { awaitCaughtUp } from './steps/await-caught-up.ts';
import { awaitRunning } from './steps/await-running.ts';
import { claim } from './steps/claim.ts';
import { drain } from './steps/drain.ts';
import { fence } from './steps/fence.ts';
import { joinCluster } from './steps/join-cluster.ts';
import { launch } from './steps/launch.ts';
import { leaveSafe } from './steps/leave-safe.ts';
import { rejoinInPlace } from './steps/rejoin-in-place.ts';
import { reseed } from './steps/reseed.ts';
import { retire } from './steps/retire.ts';
import { route } from './steps/route.ts';
import { seed } from './steps/seed.ts';
import { stopDatabase } from './steps/stop-database.ts';

/** `archive` null: the plane has none, and joiners get their data from peers. */
export const replacing = (archive: SeedPorts | null): Capability<ReplaceState> => ({
  who: 'replace',
  schema: replaceStateSchema,
  steps: {
    Claim: claim,
    RejoinInPlace: givingWay(rejoinInPlace),
    AwaitRejoined: givingWay(awaitCaughtUp),
    Drain: givingWay(drain),
    StopDatabase: givingWay(stopDatabase),
    Fence: givingWay(fence),
    Launch: givingWay(launch),
    AwaitRunning: givingWay(awaitRunning),
    Attach: givingWay(attach),
    Seed: givingWay(seed(archive)),
    Join: givingWay(joinCluster),
    AwaitCaughtUp: givingWay(awaitCaughtUp),
    Reseed: givingWay(reseed),
    Route: givingWay(route),
    Retire: retire,
    Report: report,
    LeaveSafe: leaveSafe,
    Escalate: escalate,
    Withdraw: withdraw,
  },
});

/** Of a plane without an archive. */
export const replacement = replacing(null);
