/** Shuts the old primary down cleanly: PostgreSQL ends only when its standbys have everything that it has written. */
import * as z from 'zod/mini';
import { isLsn } from '../../model/lsn.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { advance, mustSucceed, tail } from '../../recovery/command.ts';
import { mayDestroy } from '../../recovery/guard.ts';
import { liveNodes } from '../../recovery/nodes.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES } from '../../recovery/wait.ts';
import type { SwitchoverState } from '../state.ts';
import { candidateOf, oldOf } from './checkpoint.ts';
import { refused, targetAmong } from './claim.ts';

/** Within one invocation: nobody can write meanwhile. */
const INVOCATION_MS = 6000;
const BETWEEN_LOOKS_MS = 100;

const answer = z.object({
  clean: z.boolean(),
  timeline: z.number(),
  lsn: z.string().check(z.refine(isLsn, 'expected an LSN')),
});

/** @throws RecoveryError SwitchoverRefused (the candidate is not fit any more), FenceFailed (it does not end cleanly), ClaimLost, BrakeEngaged. */
export const stopOld: Step<SwitchoverState> = async (before, context) => {
  const { clock } = context.ports;
  const untilMs = clock.nowMs() + INVOCATION_MS;
  let state = before;
  for (;;) {
    const changed = await look(state, context);
    if (changed.ready !== false || clock.nowMs() >= untilMs) return changed;
    state = { ...state, ...changed };
    await clock.sleep(BETWEEN_LOOKS_MS);
  }
};

async function look(state: SwitchoverState, context: StepContext): Promise<Partial<SwitchoverState>> {
  const instance = oldOf(state);
  const script = { instance, document: 'postgres-stop' };
  const progress = await advance(state, context, async () => {
    await stillFit(state, context);
    await record(
      context,
      `stop-${instance}`,
      `shuts the database on ${instance} down`,
      `the writes go to ${candidateOf(state)}: ${state.reason}`,
    );
    await mayDestroy(context, `shut the database on ${instance} down`);
    return { ...script, parameters: {} };
  });
  const output = mustSucceed(progress, context, script, 'FenceFailed', DEADLINES.stopMs);
  if (output === null) return { ready: false, command: progress.kind === 'running' ? progress.command : null };
  const { timeline, lsn } = readAnswer(output, instance);
  await record(
    context,
    `stopped-${instance}`,
    `${instance} has shut down`,
    `cleanly, its last checkpoint begins on timeline ${timeline} at ${lsn}`,
  );
  return { ready: true, stopped: { timeline, lsn } };
}

/** The last look at the candidate before nobody can write. A repeated step finds the old primary down, and goes on. */
async function stillFit({ candidate, stopped }: SwitchoverState, context: StepContext): Promise<void> {
  const spec = await loadSpec(context);
  const { cluster: ledger } = await context.ports.ledger.read(spec.name);
  const nodes = await liveNodes(context, spec);
  const old = nodes.find((n) => n.instance.id === ledger.writer);
  if (stopped !== null || old?.probe.kind === 'refused') return;
  const target = targetAmong(nodes, spec, ledger, candidate);
  if (target.kind === 'refused') throw refused(target.why);
}

function readAnswer(output: string, instance: string): z.infer<typeof answer> {
  const line = output.trim().split('\n').at(-1) ?? '';
  const parsed = answer.safeParse(JSON.parse(line));
  if (parsed.success && parsed.data.clean) return parsed.data;
  throw new RecoveryError(
    'FenceFailed',
    `postgres-stop on ${instance} answered ${tail(output)}; expected a clean shutdown with its position`,
  );
}
