/** The steps of the backup workflow, by the names that its definition uses. It takes no claim, and gives way to one. */
import { stopAndTell } from '../recovery/finish.ts';
import { executionNameOf } from '../recovery/step.ts';
import type { Capability } from '../recovery/step.ts';
import type { BackupPorts } from './ports.ts';
import { backupStateSchema } from './state.ts';
import type { BackupState } from './state.ts';
import { begin, choose } from './steps/begin.ts';
import { complete } from './steps/complete.ts';
import { abort, report, withdraw } from './steps/finish.ts';
import { run } from './steps/run.ts';

export const backingUp = (archive: BackupPorts): Capability<BackupState> => ({
  who: 'backup',
  schema: backupStateSchema,
  /** A person starts it with {"cluster":"orders"}, as `archive` does. */
  defaults: ({ execution }) => ({
    incident: executionNameOf(execution),
    node: null,
    reason: 'a base backup was asked for',
  }),
  steps: {
    ChooseNode: choose,
    Begin: begin(archive),
    Run: run(archive),
    Complete: complete(archive),
    Report: report(archive),
    Abort: abort(archive),
    Escalate: stopAndTell,
    Withdraw: withdraw(archive),
  },
});
