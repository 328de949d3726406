/**
 * The restore workflow: a new cluster as an old one was at a moment, from the archive alone. A person starts it.
 *
 *   Plan ─▶ Launch ─▶ AwaitRunning ─▶ Prepare ─▶ Restore ─▶ Verify ─▶ Report
 *    │ │                 └───────────────┴──────────┴──────────┴─ failed ─▶ StopNode ─▶ Escalate
 *    │ └ (a dry run) ─▶ Done
 *    └ refused ─▶ Refuse ─▶ Refused, whose cause says what would be accepted
 */
import type { Definition, MachineArgs, StepOptions } from './asl.ts';
import { byPath, endings, onError, poll, task } from './asl.ts';

/** Twenty hours of download and replay, and what lies between. */
const WHOLE_SECONDS = 24 * 3600;

/** Definition of the state machine `restore`. Its input: `{"cluster","target","as"?,"history"?,"dryRun"?}`. */
export function restoreDefinition(args: MachineArgs): Definition {
  const refused = onError('Refuse', 'RestoreRefused');
  const stop: StepOptions = { otherwise: 'StopNode' };
  return {
    Comment: 'Rejoin: restores a cluster as it was at a moment, as a new cluster',
    StartAt: 'Plan',
    TimeoutSeconds: WHOLE_SECONDS,
    States: {
      Plan: task(args, 'Plan', 'LaunchOrDone', { otherwise: 'Escalate', catches: [refused] }),
      LaunchOrDone: byPath({ dry: 'Done' }, 'Launch'),
      Launch: task(args, 'Launch', 'AwaitRunning', { ...stop, catches: [refused] }),
      ...poll(args, 'AwaitRunning', 'Prepare', stop),
      ...poll(args, 'Prepare', 'Restore', stop),
      ...poll(args, 'Restore', 'Verify', stop),
      ...poll(args, 'Verify', 'Report', stop),
      StopNode: task(args, 'StopNode', 'Escalate', { otherwise: 'Escalate', always: true }),
      Refuse: task(args, 'Refuse', 'Refused', { otherwise: 'GaveUp', always: true }),
      Refused: { Type: 'Fail', Error: 'RestoreRefused', CausePath: '$.refusal' },
      ...endings(args, 'restore'),
    },
  };
}
