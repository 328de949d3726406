/**
 * The backup workflow: a base backup of a node that is not the writer, streamed by its host straight into the archive.
 *
 *   ChooseNode ─▶ Begin ─▶ Run ─▶ Complete ─▶ Report
 *                   └────────┴───────┴─ failed ─▶ Abort ─▶ Escalate
 *   A recovery that begins meanwhile goes first: Withdraw, which gives the upload back.
 */
import type { Definition, MachineArgs, StepOptions } from './asl.ts';
import { endings, poll, task } from './asl.ts';

/** Waiting for a free node, twelve hours of copying, and what lies between. */
const WHOLE_SECONDS = 14 * 3600;

/** Definition of the state machine `backup`. Its input is `{"cluster":"orders"}`. */
export function backupDefinition(args: MachineArgs): Definition {
  const giveBack: StepOptions = { otherwise: 'Abort' };
  return {
    Comment: 'Rejoin: takes a base backup into the archive',
    StartAt: 'ChooseNode',
    TimeoutSeconds: WHOLE_SECONDS,
    States: {
      ...poll(args, 'ChooseNode', 'Begin', { otherwise: 'Escalate' }),
      Begin: task(args, 'Begin', 'Run', giveBack),
      ...poll(args, 'Run', 'Complete', giveBack),
      Complete: task(args, 'Complete', 'Report', giveBack),
      Abort: task(args, 'Abort', 'Escalate', { otherwise: 'Escalate', always: true }),
      ...endings(args, 'backup'),
    },
  };
}
