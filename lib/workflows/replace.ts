/**
 * The replacement workflow: a node is lost, and the cluster gets it back.
 *
 *   Claim ─▶ RejoinInPlace ─▶ AwaitRejoined ──────────────────────────────────────────────┐
 *     │            └──── failed ────┐       └─ its data is of no use ─▶ Reseed              ▼
 *     ├──────────────────────────▶ Fence ─▶ Launch ─▶ AwaitRunning ─▶ Attach ─▶ Seed ─▶ Join ─▶ AwaitCaughtUp ─▶ Route
 *     │ (by plan)                   ▲        ▲  ▲                       │        ▲  └── Reseed ──┘ (a peer)      │
 *     ├─▶ Drain ─▶ StopDatabase ────┘        │  │                       │        └──────┘                        │
 *     │ (a node is missing)                  │  │                       │                                        │
 *     ├──────────────────────────────────────┘  └─── volume has gone ───┘                                        ▼
 *     ├ (it is left over) ─────────────────────────────────────────────────────────────────────────────────▶ Retire
 *     └ (nothing to do) ─────────────────────────────────────────────────────────────────▶ Report ◀─────────────┘
 *   Whatever fails for good: LeaveSafe ─▶ Escalate. Whoever loses the claim, or must give way to a failover: Withdraw.
 */
import type { Definition, MachineArgs, States, StepOptions } from './asl.ts';
import { byPath, endings, onError, poll, task } from './asl.ts';

/** Two full state transfers of two hours, and what lies between. */
const WHOLE_SECONDS = 6 * 3600;

/** Definition of the state machine `replace`. Its input is `RecoveryInput` with mode rejoin, replace, add or roll. */
export function replaceDefinition(args: MachineArgs): Definition {
  return {
    Comment: 'Rejoin: replaces a lost database node, or starts it again where it is',
    StartAt: 'Claim',
    TimeoutSeconds: WHOLE_SECONDS,
    States: {
      ...begin(args),
      ...makeNode(args),
      ...bringIn(args),
      LeaveSafe: task(args, 'LeaveSafe', 'Escalate', { otherwise: 'Escalate', always: true }),
      ...endings(args, 'replacement'),
    },
  };
}

const toSafety: StepOptions = { otherwise: 'LeaveSafe' };

function begin(args: MachineArgs): States {
  const instead: StepOptions = {
    ...toSafety,
    catches: [onError('Fence', 'JoinFailed', 'NodeNotReachable', 'NotCaughtUp'), onError('Reseed', 'SeedFailed')],
  };
  return {
    Claim: task(args, 'Claim', 'WhichWay', toSafety),
    WhichWay: byPath(
      { rejoin: 'RejoinInPlace', drain: 'Drain', fence: 'Fence', launch: 'Launch', retire: 'Retire' },
      'Report',
    ),
    ...poll(args, 'Drain', 'StopDatabase', toSafety),
    ...poll(args, 'StopDatabase', 'Fence', toSafety),
    ...poll(args, 'RejoinInPlace', 'RejoinOrReport', instead),
    RejoinOrReport: byPath({ finished: 'Report' }, 'AwaitRejoined'),
    ...poll(args, 'AwaitRejoined', 'Route', instead),
    ...poll(args, 'Fence', 'LaunchOrReport', toSafety),
    LaunchOrReport: byPath({ finished: 'Report' }, 'Launch'),
  };
}

function makeNode(args: MachineArgs): States {
  return {
    Launch: task(args, 'Launch', 'AwaitRunning', toSafety),
    ...poll(args, 'AwaitRunning', 'Attach', toSafety),
    ...poll(args, 'Attach', 'SeedOrLaunch', toSafety),
    SeedOrLaunch: byPath({ launch: 'Launch' }, 'Seed'),
  };
}

function bringIn(args: MachineArgs): States {
  const anew: StepOptions = { ...toSafety, catches: [onError('Reseed', 'SeedFailed', 'JoinFailed', 'NotCaughtUp')] };
  return {
    ...poll(args, 'Seed', 'Join', anew),
    ...poll(args, 'Join', 'AwaitCaughtUp', anew),
    ...poll(args, 'AwaitCaughtUp', 'Route', anew),
    ...poll(args, 'Reseed', 'SeedOrFence', toSafety),
    SeedOrFence: byPath({ fence: 'Fence' }, 'Seed'),
    ...poll(args, 'Route', 'Retire', toSafety),
    // The node is back by now: what cannot be cleared away is reported, not escalated.
    ...poll(args, 'Retire', 'Report', { otherwise: 'Report' }),
  };
}
