/**
 * The switchover workflow: the writes go to another node by plan, and nothing acknowledged is lost.
 *
 *   Claim ─▶ Checkpoint ─▶ StopOld ─▶ Promote ─▶ Verify ─▶ Route ─▶ Follow ─▶ Report
 *     │           │            └─────────┴─ failed ─┴─▶ Resume ─▶ Escalate
 *     │           └ (refused: nothing was touched) ─────────────────▲
 *     └ (nothing to do) ─▶ Report
 *   Whoever loses the claim: Withdraw.
 */
import type { Definition, MachineArgs, StepOptions } from './asl.ts';
import { byPath, endings, poll, task } from './asl.ts';

const WHOLE_SECONDS = 3600;

/** Definition of the state machine `switchover`. Its input is `{"cluster": "orders"}`, and perhaps `to`. */
export function switchoverDefinition(args: MachineArgs): Definition {
  const refuse: StepOptions = { otherwise: 'Escalate' };
  const goBack: StepOptions = { otherwise: 'Resume' };
  return {
    Comment: 'Rejoin: moves the writes of a PostgreSQL cluster to another node, by plan',
    StartAt: 'Claim',
    TimeoutSeconds: WHOLE_SECONDS,
    States: {
      Claim: task(args, 'Claim', 'CheckpointOrReport', refuse),
      CheckpointOrReport: byPath({ finished: 'Report' }, 'Checkpoint'),
      Checkpoint: task(args, 'Checkpoint', 'StopOld', refuse),
      ...poll(args, 'StopOld', 'Promote', goBack),
      Promote: task(args, 'Promote', 'Verify', goBack),
      ...poll(args, 'Verify', 'Route', goBack),
      // There is a primary by now: what cannot be done any more is reported.
      ...poll(args, 'Route', 'Follow', { otherwise: 'Follow' }),
      ...poll(args, 'Follow', 'Report', { otherwise: 'Report' }),
      ...poll(args, 'Resume', 'Escalate', { otherwise: 'Escalate' }),
      ...endings(args, 'switchover'),
    },
  };
}
