/** The steps of the bootstrap workflow, by the names that its definition uses. */
import { escalate, report, withdraw } from '../recovery/finish.ts';
import type { Capability } from '../recovery/step.ts';
import { bootstrapStateSchema } from './state.ts';
import type { BootstrapState } from './state.ts';
import { choose, claim, positions } from './steps/begin.ts';
import { awaitSynced, joinNext, route, skipNode } from './steps/join-others.ts';
import { awaitPrimary, bootstrap } from './steps/start.ts';

export const bootstrapping: Capability<BootstrapState> = {
  who: 'bootstrap',
  schema: bootstrapStateSchema,
  steps: {
    Claim: claim,
    Positions: positions,
    Choose: choose,
    Bootstrap: bootstrap,
    AwaitPrimary: awaitPrimary,
    JoinNext: joinNext,
    AwaitSynced: awaitSynced,
    SkipNode: skipNode,
    Route: route,
    Report: report,
    Escalate: escalate,
    Withdraw: withdraw,
  },
};
