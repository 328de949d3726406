/**
 * The rolling replacement: every node is replaced by one of a new launch template version, one at a time, the writer last.
 * A person starts it. Each node's own workflow does the work and holds the claim; this one waits for it.
 *
 *   Begin ─▶ ChooseNode ─▶ StartChild ─▶ AwaitChild ─┐
 *                ▲   └ (none is left) ─▶ Report      │
 *                └───────────────────────────────────┘
 *   The first child that ends badly stops it: Escalate. Started again it goes on with what is left.
 */
import type { Definition, MachineArgs, StepOptions } from './asl.ts';
import { byPath, endings, poll, task } from './asl.ts';

/** A day for nine nodes; asked every minute, far below the 25,000 events that an execution may have. */
const WHOLE_SECONDS = 24 * 3600;

/** Definition of the state machine `rolling`. Its input is `{"cluster":"orders"}`, and perhaps `version` and `reason`. */
export function rollingDefinition(args: MachineArgs): Definition {
  const stop: StepOptions = { otherwise: 'Escalate' };
  return {
    Comment: 'Rejoin: replaces every node of a cluster by a new launch template version, one at a time',
    StartAt: 'Begin',
    TimeoutSeconds: WHOLE_SECONDS,
    States: {
      Begin: task(args, 'Begin', 'ChooseNode', stop),
      ...poll(args, 'ChooseNode', 'ChildOrReport', stop),
      ChildOrReport: byPath({ done: 'Report' }, 'StartChild'),
      StartChild: task(args, 'StartChild', 'AwaitChild', stop),
      ...poll(args, 'AwaitChild', 'ChooseNode', stop),
      ...endings(args, 'rolling replacement'),
    },
  };
}
