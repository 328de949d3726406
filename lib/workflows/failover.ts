/**
 * The failover workflow: PostgreSQL has no primary that can take writes, and a standby becomes one.
 *
 *   Claim ─▶ Fence ─▶ Choose ─▶ Promote ─▶ Verify ─▶ Route ─▶ Secure ─▶ Report
 *     │       ▲ │ ▲     │  ▲       └─ failed ─┘
 *     │       │ │ └─────┼──┼────────────┘ (the candidate is the lost primary now)
 *     │       │ │       └▶ Launch ─▶ AwaitRunning ─▶ Attach ─▶ Seed ─▶ Start ─┐
 *     │       └─┼───────── (what is missing may lie on the lost one's volume) ┘
 *     │         └ (the primary answers again, nobody was promoted) ─▶ GiveBack ─▶ Report
 *     └ (nothing to do) ─▶ Report
 *   Whatever fails for good: LeaveSafe ─▶ Escalate. Whoever loses the claim: Withdraw.
 */
import type { Definition, MachineArgs, States, StepOptions } from './asl.ts';
import { byPath, endings, onError, poll, task } from './asl.ts';

/** EC2's stop, an instance's boot and a database's crash recovery, each for as long as it may last. */
const WHOLE_SECONDS = 3 * 3600;

/** Definition of the state machine `failover`. Its input is `RecoveryInput` with mode failover, and perhaps `accept`. */
export function failoverDefinition(args: MachineArgs): Definition {
  return {
    Comment: 'Rejoin: promotes a standby of a PostgreSQL cluster whose primary is lost',
    StartAt: 'Claim',
    TimeoutSeconds: WHOLE_SECONDS,
    States: {
      ...decide(args),
      ...revive(args),
      ...carryOut(args),
      GiveBack: task(args, 'GiveBack', 'Report', toSafety),
      LeaveSafe: task(args, 'LeaveSafe', 'Escalate', { otherwise: 'Escalate', always: true }),
      ...endings(args, 'failover'),
    },
  };
}

const toSafety: StepOptions = { otherwise: 'LeaveSafe' };

const decide = (args: MachineArgs): States => ({
  Claim: task(args, 'Claim', 'FenceOrReport', toSafety),
  FenceOrReport: byPath({ finished: 'Report' }, 'Fence'),
  ...poll(args, 'Fence', 'ChooseOrBack', toSafety),
  ChooseOrBack: byPath({ back: 'GiveBack', promote: 'Promote' }, 'Choose'),
  Choose: task(args, 'Choose', 'PromoteOrRevive', toSafety),
  PromoteOrRevive: byPath({ revive: 'Launch' }, 'Promote'),
});

const revive = (args: MachineArgs): States => ({
  Launch: task(args, 'Launch', 'RevivedOrNot', toSafety),
  RevivedOrNot: byPath({ choose: 'Choose' }, 'AwaitRunning'),
  ...poll(args, 'AwaitRunning', 'Attach', toSafety),
  ...poll(args, 'Attach', 'SeedOrChoose', toSafety),
  SeedOrChoose: byPath({ choose: 'Choose' }, 'Seed'),
  ...poll(args, 'Seed', 'Start', toSafety),
  ...poll(args, 'Start', 'Fence', toSafety),
});

function carryOut(args: MachineArgs): States {
  const another: StepOptions = { ...toSafety, catches: [onError('Fence', 'PromotionFailed')] };
  return {
    Promote: task(args, 'Promote', 'Verify', another),
    ...poll(args, 'Verify', 'Route', another),
    // There is a primary by now: what cannot be done any more is reported, not escalated.
    ...poll(args, 'Route', 'Secure', { otherwise: 'Secure' }),
    ...poll(args, 'Secure', 'Report', { otherwise: 'Report' }),
  };
}
