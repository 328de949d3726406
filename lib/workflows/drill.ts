/**
 * The drill: a rehearsed restore. What a replica held at a place in the log is restored from the archive to a throw-away node,
 * and compared.
 *
 *   Expect ─▶ AwaitArchived ─▶ Plan ─▶ Launch ─▶ AwaitRunning ─▶ Prepare ─▶ Restore ─▶ Verify ─▶ Compare ─▶ CleanUp ─▶ Report
 *   Whatever fails: CleanUp ─▶ Escalate. Node and volumes go either way.
 */
import type { Definition, MachineArgs, StepOptions } from './asl.ts';
import { byPath, endings, poll, task } from './asl.ts';

/** A restore of twenty hours would be told by its own deadline. */
const WHOLE_SECONDS = 24 * 3600;

/** Definition of the state machine `drill`. Its input is `{"cluster":"orders"}`. */
export function drillDefinition(args: MachineArgs): Definition {
  const clean: StepOptions = { otherwise: 'CleanUp' };
  return {
    Comment: 'Rejoin: rehearses a restore on a throw-away node, and compares',
    StartAt: 'Expect',
    TimeoutSeconds: WHOLE_SECONDS,
    States: {
      ...poll(args, 'Expect', 'AwaitArchived', { otherwise: 'Escalate' }),
      ...poll(args, 'AwaitArchived', 'Plan', { otherwise: 'Escalate' }),
      Plan: task(args, 'Plan', 'Launch', { otherwise: 'Escalate' }),
      Launch: task(args, 'Launch', 'AwaitRunning', clean),
      ...poll(args, 'AwaitRunning', 'Prepare', clean),
      ...poll(args, 'Prepare', 'Restore', clean),
      ...poll(args, 'Restore', 'Verify', clean),
      ...poll(args, 'Verify', 'Compare', clean),
      ...poll(args, 'Compare', 'CleanUp', clean),
      ...poll(args, 'CleanUp', 'ReportOrEscalate', { otherwise: 'Escalate', always: true }),
      ReportOrEscalate: byPath({ ended: 'Report' }, 'Escalate'),
      ...endings(args, 'drill'),
    },
  };
}
