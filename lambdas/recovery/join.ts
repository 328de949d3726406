/** Brings one node into the running cluster: choose a donor, start the database as a joiner, wait until it serves. */
import { RecoveryError } from '../model/recovery.ts';
import { serves } from '../model/galera.ts';
import type { ClusterSpec } from '../model/spec.ts';
import { chooseDonor } from './choose-donor.ts';
import { advance, mustSucceed, tail } from './command.ts';
import { holdClaim } from './guard.ts';
import { describe, inWords, isServing, liveNodes, probeAll, statusOf } from './nodes.ts';
import type { Carried } from './state.ts';
import type { StepContext } from './step.ts';
import { record } from './step.ts';
import { DEADLINES, failAfter } from './wait.ts';

/** A joiner does not listen during a state transfer: refusing is a question, which the host can answer. */
const ASK_HOST_AFTER_MS = 30_000;

/**
 * Starts the database on `joiner` against the nodes that serve now, with a donor chosen by the plane.
 * @throws RecoveryError ClaimLost, NoDonor (nobody is Synced in time), JoinFailed (the script's words).
 */
export async function join(
  state: Carried,
  context: StepContext,
  spec: ClusterSpec,
  joiner: string,
): Promise<Partial<Carried>> {
  const script = { instance: joiner, document: 'galera-join' };
  if (state.command !== null) {
    const progress = await advance(state, context, () =>
      Promise.reject(new Error('a started script is not started again')),
    );
    const output = mustSucceed(progress, context, script, 'JoinFailed', DEADLINES.joinMs);
    return output === null ? { ready: false } : { ready: true, progress: null, refusedSinceMs: null };
  }
  const ledger = await holdClaim(context);
  const others = await liveNodes(context, spec, [joiner]);
  const instance = await describe(context, joiner);
  const donor = chooseDonor(others, ledger.writer, instance?.zone ?? null);
  if (donor === null) {
    failAfter(
      context.waitedMs,
      DEADLINES.joinMs,
      'NoDonor',
      () => `no node of ${spec.name} is Synced (${others.map(inWords).join('; ')})`,
    );
    return { ready: false };
  }
  const donorId = donor.node.instance.id;
  // On the ledger first: reconcile must not make a writer of the node that is about to be desynced.
  await context.ports.ledger.amendClaim(spec.name, context.execution, { joiner, donor: donorId });
  const peers = others.filter(isServing).flatMap((n) => n.instance.privateIp ?? []);
  await record(
    context,
    `join-${joiner}-${donorId}`,
    `joins ${joiner} with donor ${donorId}`,
    `${donorId} is ${donor.why}`,
  );
  const progress = await advance(state, context, () =>
    Promise.resolve({ ...script, parameters: { Peers: peers.join(','), Donor: donorId } }),
  );
  mustSucceed(progress, context, script, 'JoinFailed', DEADLINES.joinMs);
  return { ready: false, donor: donorId, command: progress.kind === 'running' ? progress.command : null };
}

/**
 * Waits until the joiner is Synced in the primary component, by probe.
 * @throws RecoveryError NodeNotReachable (its instance is gone), JoinFailed (its database process died), NotCaughtUp.
 */
export async function awaitCaughtUp(
  state: Carried,
  context: StepContext,
  spec: ClusterSpec,
  joiner: string,
): Promise<Partial<Carried>> {
  const instance = await describe(context, joiner);
  if (instance?.state !== 'running') {
    const found = instance?.state ?? 'that it does not exist';
    throw new RecoveryError('NodeNotReachable', `EC2 says of the joiner ${joiner}: ${found}; expected running`);
  }
  const [node] = await probeAll(context, spec, [instance]);
  if (node === undefined) throw new Error(`no probe of ${joiner} was made, expected one`);
  const status = statusOf(node);
  const progress = status === null ? state.progress : `${status.state}, ${status.component}`;
  if (progress !== null && progress !== state.progress) {
    await record(context, `progress-${joiner}-${progress}`, `${joiner} is ${progress}`, 'its own status, by probe');
  }
  if (status !== null && serves(status)) return { ready: true, progress, refusedSinceMs: null };
  failAfter(context.waitedMs, DEADLINES.caughtUpMs, 'NotCaughtUp', () => `${inWords(node)}; expected Synced, Primary`);
  if (node.probe.kind !== 'refused') return { ready: false, progress, refusedSinceMs: null, command: null };
  return { ready: false, progress, ...(await askHost(state, context, joiner)) };
}

/** Refused for long: a state transfer, or a dead process? The position script on the host knows which. */
async function askHost(state: Carried, context: StepContext, joiner: string): Promise<Partial<Carried>> {
  const refusedSinceMs = state.refusedSinceMs ?? context.nowMs;
  if (context.nowMs - refusedSinceMs <= ASK_HOST_AFTER_MS) return { refusedSinceMs };
  const answer = await advance(state, context, () =>
    Promise.resolve({ instance: joiner, document: 'galera-position', parameters: {} }),
  );
  if (answer.kind === 'running') return { refusedSinceMs, command: answer.command };
  if (answer.kind === 'succeeded' && !isRunning(answer.output)) {
    throw new RecoveryError(
      'JoinFailed',
      `the database process on ${joiner} ended while it joined (${tail(answer.output)}); expected it to run until Synced`,
    );
  }
  // A script that fails here found a process that does not answer yet: the transfer goes on. Ask again later.
  return { refusedSinceMs: context.nowMs, command: null };
}

function isRunning(output: string): boolean {
  const line = output.trim().split('\n').at(-1) ?? '';
  const said = JSON.parse(line) as { running?: unknown };
  return said.running !== false;
}
