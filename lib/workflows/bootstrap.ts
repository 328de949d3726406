/**
 * The bootstrap workflow: no node runs the database, and the cluster is started again from its newest position.
 *
 *   Claim ─▶ Positions ─▶ Choose ─▶ Bootstrap ─▶ AwaitPrimary ─▶ JoinNext ─▶ AwaitSynced ─┐
 *                                                                  ▲  │ └ failed ─▶ SkipNode ─┤
 *                                                                  └──┼───────────────────────┘
 *                                                                     └ (all joined) ─▶ Route ─▶ Report
 */
import type { Definition, MachineArgs, StepOptions } from './asl.ts';
import { byPath, endings, onError, poll, task } from './asl.ts';

/** Up to nine nodes, one full state transfer after the other. */
const WHOLE_SECONDS = 6 * 3600;

/** Definition of the state machine `bootstrap`. Its input is `RecoveryInput` with mode bootstrap, and perhaps `giveUp`. */
export function bootstrapDefinition(args: MachineArgs): Definition {
  const giveUp: StepOptions = { otherwise: 'Escalate' };
  const skip: StepOptions = {
    ...giveUp,
    catches: [onError('SkipNode', 'JoinFailed', 'NotCaughtUp', 'NodeNotReachable')],
  };
  return {
    Comment: 'Rejoin: starts a database cluster that is down as a whole, from its newest position',
    StartAt: 'Claim',
    TimeoutSeconds: WHOLE_SECONDS,
    States: {
      Claim: task(args, 'Claim', 'Positions', giveUp),
      ...poll(args, 'Positions', 'Choose', giveUp),
      Choose: task(args, 'Choose', 'Bootstrap', giveUp),
      ...poll(args, 'Bootstrap', 'AwaitPrimary', giveUp),
      ...poll(args, 'AwaitPrimary', 'JoinNext', giveUp),
      ...poll(args, 'JoinNext', 'SyncOrRoute', skip),
      SyncOrRoute: byPath({ route: 'Route' }, 'AwaitSynced'),
      ...poll(args, 'AwaitSynced', 'JoinNext', skip),
      SkipNode: task(args, 'SkipNode', 'JoinNext', giveUp),
      ...poll(args, 'Route', 'Report', giveUp),
      ...endings(args, 'bootstrap'),
    },
  };
}
