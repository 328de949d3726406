/** The steps of the restore workflow, by the names that its definition uses. It takes no claim: it touches no live cluster. */
import { executionNameOf } from '../recovery/step.ts';
import type { Capability } from '../recovery/step.ts';
import type { RestorePorts } from './ports.ts';
import { restoreStateSchema } from './state.ts';
import type { RestoreState } from './state.ts';
import { escalate, report, stopNode, withdraw } from './steps/finish.ts';
import { awaitRunning, launch, prepare } from './steps/launch.ts';
import { plan, refuse } from './steps/plan.ts';
import { restore, verify } from './steps/restore.ts';

export const restoring = (archive: RestorePorts): Capability<RestoreState> => ({
  who: 'restore',
  schema: restoreStateSchema,
  /** A person starts it with {"cluster":"orders","target":"…"}. */
  defaults: ({ execution }) => ({ incident: executionNameOf(execution), node: null, reason: 'a person started it' }),
  steps: {
    Plan: plan(archive),
    Refuse: refuse,
    Launch: launch(archive),
    AwaitRunning: awaitRunning(),
    Prepare: prepare(),
    Restore: restore(archive),
    Verify: verify(),
    Report: report,
    StopNode: stopNode(),
    Escalate: escalate,
    Withdraw: withdraw(),
  },
});
