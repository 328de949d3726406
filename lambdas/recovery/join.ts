/** Brings one node into the running cluster: choose a donor, start the database as a joiner, wait until it serves. */
import { RecoveryError } from '../model/recovery.ts';
import type { RecoveryErrorName } from '../model/recovery.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Node } from '../model/view.ts';
import { advance, mustSucceed, tail } from './command.ts';
import { engineOf } from './engine-of.ts';
import { scriptOf } from './engine.ts';
import type { JoinFailure } from './engine.ts';
import { holdClaim, notTheWriter } from './guard.ts';
import { describe, inWords, isLive } from './nodes.ts';
import { look, servingOf } from './serving.ts';
import type { Look } from './serving.ts';
import type { Carried } from './state.ts';
import type { StepContext } from './step.ts';
import { record } from './step.ts';
import { DEADLINES, failAfter } from './wait.ts';

/** A joiner does not listen during a state transfer: refusing is a question, which the host can answer. */
const ASK_HOST_AFTER_MS = 30_000;

/** A joiner that runs, and receives and replays nothing for so long, never will as things are; nor will one that says nothing. */
const STANDSTILL_MS = 90_000;
const SILENT = 'silent';

/** What definitions do about it: JoinFailed is mended by another instance, SeedFailed by other data, PositionsDisagree by a person. */
const ERROR_NAMES: Readonly<Record<JoinFailure, RecoveryErrorName>> = {
  failed: 'JoinFailed',
  again: 'JoinFailed',
  useless: 'SeedFailed',
  foreign: 'PositionsDisagree',
};

/**
 * Starts the database on `joiner` against the nodes that serve now, with a donor chosen by the plane.
 * @throws RecoveryError ClaimLost, NoDonor (nobody can give data in time), JoinFailed (the script's words), SeedFailed (the
 * script says that the data there is of no use), PositionsDisagree (the data is another database's), QuorumAtRisk (the joiner is the PostgreSQL primary).
 */
export async function join(
  state: Carried,
  context: StepContext,
  spec: ClusterSpec,
  joiner: string,
): Promise<Partial<Carried>> {
  const script = { instance: joiner, document: scriptOf(spec, 'join') };
  if (state.command !== null) {
    const progress = await advance(state, context, () =>
      Promise.reject(new Error('a started script is not started again')),
    );
    const failure = progress.kind === 'failed' ? engineOf(spec).joinFailure(progress.exitCode) : 'failed';
    if (failure === 'again' && context.waitedMs <= DEADLINES.joinMs) return { ready: false, command: null };
    const output = mustSucceed(progress, context, script, ERROR_NAMES[failure], DEADLINES.joinMs);
    return output === null ? { ready: false } : { ready: true, progress: null, refusedSinceMs: null, standstill: null };
  }
  const ledger = await holdClaim(context);
  notTheWriter(spec, ledger, joiner, `make a replica of ${joiner}`);
  const all = await context.ports.instances.ofCluster(spec.name);
  const { engine, nodes, reference } = await look(
    context,
    spec,
    all.filter((i) => isLive(i) && i.id !== joiner),
  );
  const instance = await describe(context, joiner);
  const donor = engine.chooseDonor(nodes, reference, ledger.writer, instance?.zone ?? null);
  if (donor === null) {
    failAfter(
      context.waitedMs,
      DEADLINES.donorMs,
      'NoDonor',
      () => `${engine.noDonor} in ${spec.name} (${nodes.map(inWords).join('; ')})`,
    );
    return { ready: false };
  }
  const donorId = donor.node.instance.id;
  // On the ledger first: reconcile must not make a writer of the node that is about to be desynced.
  await context.ports.ledger.amendClaim(spec.name, context.execution, { joiner, donor: donorId });
  const plan = { others: nodes, reference, donor };
  await engine.beforeJoin(context, spec, joiner, plan);
  await record(
    context,
    `join-${joiner}-${donorId}`,
    `joins ${joiner} with donor ${donorId}`,
    `${donorId} is ${donor.why}`,
  );
  const progress = await advance(state, context, () =>
    Promise.resolve({ ...script, parameters: engine.joinParameters(plan) }),
  );
  mustSucceed(progress, context, script, 'JoinFailed', DEADLINES.joinMs);
  return { ready: false, donor: donorId, command: progress.kind === 'running' ? progress.command : null };
}

/**
 * Waits until the joiner may be put into service, by probe: Synced in the primary component, or streaming and near.
 * @throws RecoveryError NodeNotReachable (its instance is gone), JoinFailed (its database process died), SeedFailed and NoDonor
 * (it runs and does not get on), NotCaughtUp.
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
  const found = await look(context, spec, [instance]);
  const { engine, reference } = found;
  const [node] = found.nodes;
  if (node === undefined) throw new Error(`no probe of ${joiner} was made, expected one`);
  const progress = engine.progress(node, reference) ?? state.progress;
  if (progress !== null && progress !== state.progress) {
    await record(context, `progress-${joiner}-${progress}`, `${joiner} is ${progress}`, 'its own status, by probe');
  }
  if (engine.hasCaughtUp(node, reference)) return { ready: true, progress, refusedSinceMs: null, standstill: null };
  const expected = `; expected ${engine.expected}`;
  failAfter(context.waitedMs, DEADLINES.caughtUpMs, 'NotCaughtUp', () => `${inWords(node)}${expected}`);
  if (node.probe.kind === 'refused')
    return { ready: false, progress, ...(await askHost(state, context, spec, joiner)) };
  const standstill = await getsOn(state, context, spec, found);
  return { ready: false, progress, refusedSinceMs: null, command: null, standstill };
}

/**
 * @throws RecoveryError when the joiner has stood still for too long: JoinFailed (it hangs), SeedFailed (its data lead nowhere), or
 * NoDonor (it hangs or runs outside the cluster, and nobody is left that it could join: its data may be the last).
 */
async function getsOn(
  state: Carried,
  context: StepContext,
  spec: ClusterSpec,
  { engine, nodes, reference }: Look,
): Promise<Carried['standstill']> {
  const [node] = nodes;
  if (node === undefined) return null;
  const before = state.standstill?.at === SILENT ? null : state.standstill;
  const standstill = silence(node, state.standstill) ?? engine.standstill(node, reference, before);
  if (standstill === null || context.nowMs - standstill.sinceMs <= STANDSTILL_MS) return standstill;
  const found = `${inWords(node)}, and has not got on for ${STANDSTILL_MS / 1000} s`;
  const others = (await context.ports.instances.ofCluster(spec.name)).filter((i) => i.id !== node.instance.id);
  const someServe = (await servingOf(context, spec, others)).length > 0;
  if (standstill.at === SILENT && someServe) throw new RecoveryError('JoinFailed', `${found}: it hangs`);
  if (standstill.at !== SILENT && engine.standstillMeans === 'SeedFailed') {
    const why = 'what it needs is gone from the primary, or its history is another';
    throw new RecoveryError('SeedFailed', `${found}: ${why}`);
  }
  if (someServe) return standstill;
  throw new RecoveryError(
    'NoDonor',
    `${found}: no other node of ${spec.name} serves any more, so there is nobody to join`,
  );
}

/** It accepts connections and says nothing. A server that receives its data does not listen, or says that it starts. */
function silence({ probe }: Node, before: Carried['standstill']): Carried['standstill'] {
  if (probe.kind !== 'silent') return null;
  return before?.at === SILENT ? before : { sinceMs: probe.atMs, at: SILENT };
}

/** Refused for long: a state transfer, or a dead process? The position script on the host knows which. */
async function askHost(
  state: Carried,
  context: StepContext,
  spec: ClusterSpec,
  joiner: string,
): Promise<Partial<Carried>> {
  const refusedSinceMs = state.refusedSinceMs ?? context.nowMs;
  if (context.nowMs - refusedSinceMs <= ASK_HOST_AFTER_MS) return { refusedSinceMs };
  const answer = await advance(state, context, () =>
    Promise.resolve({ instance: joiner, document: scriptOf(spec, 'position'), parameters: {} }),
  );
  if (answer.kind === 'running') return { refusedSinceMs, command: answer.command };
  if (answer.kind === 'succeeded' && !isRunning(answer.output)) {
    throw new RecoveryError(
      'JoinFailed',
      `the database process on ${joiner} ended while it joined (${tail(answer.output)}); expected it to run until it serves`,
    );
  }
  // A script that fails here found a process that does not answer yet: the transfer goes on. Ask again later.
  return { refusedSinceMs: context.nowMs, command: null };
}

/** A base backup runs apart from the server that it is for: `seeding`. */
function isRunning(output: string): boolean {
  const line = output.trim().split('\n').at(-1) ?? '';
  const said = JSON.parse(line) as { running?: unknown; seeding?: unknown };
  return said.running !== false || said.seeding === true;
}
