/**
 * Makes sure that the old primary can acknowledge nothing (safety rule 3), and hears from every standby where it is after that.
 *
 *   a pass: cut off all standbys that answer ─▶ fenced, and somebody may be promoted ─▶ on
 *                                             ├▶ the old primary answers as one again: nothing was promoted, the standbys go back
 *                                             ├▶ a database is down and its host lives: start it as a standby, look again
 *                                             └▶ ask EC2 to stop the old primary; when it has, on
 */
import type { ClusterLedger } from '../../model/ledger.ts';
import type { Instance } from '../../model/view.ts';
import { mayDestroy } from '../../recovery/guard.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import { chooseCandidate } from '../choose-candidate.ts';
import type { Hosts } from '../contest.ts';
import { contestOf, fenceViewOf, hostsOf } from '../contest.ts';
import type { Sight } from '../detach-all.ts';
import { detachAll } from '../detach-all.ts';
import { fenceProof } from '../fence-proof.ts';
import { beginRound } from '../round.ts';
import { PATIENCE_MS, startDatabases } from '../start-databases.ts';
import type { FailoverState } from '../state.ts';
import { stopByForce } from '../stop-by-force.ts';

/** Passes are made within one invocation for that long, so that what takes a moment does not cost a second. */
const INVOCATION_MS = 4000;
const BETWEEN_PASSES_MS = 250;

/** For so long is asked for what the most advanced one so far may lack. */
const UNHEARD_MS = 5000;

/**
 * @throws RecoveryError ClaimLost, BrakeEngaged; FenceFailed (EC2 does not get it down, or it is not ours), PromotionFailed (no
 * candidate lasts).
 */
export const fence: Step<FailoverState> = async (before, context) => {
  const { clock } = context.ports;
  const begun = await beginRound(before, context);
  if (begun.path === 'promote') return begun;
  let state: FailoverState = { ...before, ...begun };
  const untilMs = clock.nowMs() + INVOCATION_MS;
  for (;;) {
    const changed = await pass(state, context);
    if (changed.ready !== false || clock.nowMs() >= untilMs) return { ...begun, ...changed };
    state = { ...state, ...changed };
    await clock.sleep(BETWEEN_PASSES_MS);
  }
};

interface Pass {
  readonly ledger: ClusterLedger;
  readonly hosts: Hosts;
  readonly sight: Sight;
}

async function pass(state: FailoverState, context: StepContext): Promise<Partial<FailoverState>> {
  const beganMs = context.ports.clock.nowMs();
  const [spec, instances] = await Promise.all([loadSpec(context), context.ports.instances.ofCluster(context.cluster)]);
  const act = `cut the standbys off from ${state.node ?? 'their upstream'}`;
  const ledger = await mayDestroy(context, act);
  await record(context, `detach-${state.rounds}`, act.replace('cut', 'cuts'), state.reason);
  const hosts = await hostsOf(context, ledger, instances);
  const evaluate = (sight: Pick<Sight, 'told' | 'primaries'>) => {
    const told = { ...state.told, ...sight.told };
    const proof = fenceProof(fenceViewOf(state, spec, ledger, { told, primaries: sight.primaries, hosts }));
    return { told, proof, choice: chooseCandidate(contestOf(state, spec, ledger, told)) };
  };
  const sight = await detachAll(context, spec, instances, ledger.writer, (s) => {
    const { proof, choice } = evaluate(s);
    return proof !== null && choice.kind === 'candidate' && choice.loss !== 'bounded';
  });
  const { told, proof, choice } = evaluate(sight);
  if (proof !== null && choice.kind === 'candidate') {
    if (choice.loss !== 'bounded') return fenced(context, told, proof);
    const revives = sight.starting.some((id) => id === state.revived);
    const others = unheard(instances, told, ledger.writer);
    const waits = await othersAreHeard(state, context, { others, revives, beganMs });
    return waits === null ? fenced(context, told, proof) : { told, ...waits };
  }
  return { told, ...(await otherwise(state, context, { ledger, hosts, sight }, { told, proof })) };
}

/** Hosts that run, and whose databases have not told where they are. */
const unheard = (instances: readonly Instance[], told: FailoverState['told'], old: string | null): readonly string[] =>
  instances.filter((i) => i.state === 'running' && i.id !== old && told[i.id] === undefined).map((i) => i.id);

/**
 * With a loss that nobody but the declaration allows, any of the others may have what is missing: those that do not answer for a moment,
 * or whose answer was lost, are asked again for a while, and once more when that is over: a single question may have taken all of it. `revives`: one recovers from the crash on the lost primary's own volume, which has all. Null: all
 * are heard, or it has been long enough.
 */
async function othersAreHeard(
  { unheardSinceMs, rounds }: FailoverState,
  context: StepContext,
  {
    others,
    revives,
    beganMs,
  }: { readonly others: readonly string[]; readonly revives: boolean; readonly beganMs: number },
): Promise<Partial<FailoverState> | null> {
  const mostMs = revives ? PATIENCE_MS : UNHEARD_MS;
  const sinceMs = unheardSinceMs ?? beganMs;
  if (others.length === 0 || beganMs - sinceMs > mostMs) return null;
  const why = `the best that answers may lack what was acknowledged`;
  await record(context, `unheard-${rounds}`, `waits ${mostMs / 1000} s for ${others.join(', ')}`, why);
  return { ready: false, unheardSinceMs: sinceMs };
}

async function fenced(
  context: StepContext,
  told: FailoverState['told'],
  proof: string,
): Promise<Partial<FailoverState>> {
  const at = new Date(context.ports.clock.nowMs()).toISOString();
  await record(context, `fenced-${at}`, 'the old primary is fenced', `${proof}, at ${at}`);
  return { ready: true, path: 'on', told, fenced: proof, starts: {}, startsSinceMs: null };
}

/** Those that answer do not suffice: as a fence, or for somebody to be promoted. */
async function otherwise(
  before: FailoverState,
  context: StepContext,
  { ledger, hosts, sight }: Pass,
  { told, proof }: { readonly told: FailoverState['told']; readonly proof: string | null },
): Promise<Partial<FailoverState>> {
  const old = ledger.writer;
  if (old !== null && sight.primaries.includes(old)) return { ready: true, path: 'back' };
  const starting = await startDatabases(before, context, sight);
  if (starting.waits) return { ready: false, starts: starting.starts, startsSinceMs: starting.sinceMs };
  const settled = { starts: starting.starts, startsSinceMs: starting.sinceMs };
  if (old === null || hosts.ended.has(old) || told[old] !== undefined) {
    if (proof !== null) return { ...settled, ...(await fenced(context, told, proof)) };
    failAfter(
      context.waitedMs,
      DEADLINES.fenceMs,
      'FenceFailed',
      () => `nothing proves a fence (${sight.seen.join('; ')})`,
    );
    return { ...settled, ready: false };
  }
  const state = hosts.instances.find((i) => i.id === old)?.state ?? 'that it is not one of the cluster';
  failAfter(
    context.waitedMs,
    DEADLINES.fenceMs,
    'FenceFailed',
    () => `EC2 still says ${state} of ${old}; expected stopped or terminated (${sight.seen.join('; ')})`,
  );
  await stopByForce(context, old, `those that answer do not suffice without EC2's word: ${sight.seen.join('; ')}`);
  return { ...settled, ready: false };
}
