/** Claim, ask every node for its position, choose. */
import { HostOffline } from '../../cloud/ports.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { REPLACES_TAG } from '../../model/spec.ts';
import type { Instance } from '../../model/view.ts';
import { takeClaim } from '../../recovery/claim.ts';
import { tail } from '../../recovery/command.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { isMember } from '../../recovery/galera.ts';
import { probeAll } from '../../recovery/nodes.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, MINUTES } from '../../recovery/wait.ts';
import { chooseNode } from '../choose-node.ts';
import { parsePosition } from '../state.ts';
import type { BootstrapState, Position } from '../state.ts';

/** A host without an agent, or whose script fails: how long it may take to come to itself. */
const SILENT_MS = 3 * MINUTES;

/** Instances that can tell their position, now or once they are started. */
const canTell = (i: Instance): boolean => i.state !== 'terminated' && i.state !== 'shutting-down';

/** @throws RecoveryError ClaimLost, BrakeEngaged. */
export const claim: Step<BootstrapState> = async (state, context) => {
  await takeClaim(state, 'bootstrap', context);
  return {};
};

/**
 * Asks every node at once. Who has not answered by the deadline is left to Choose, which refuses unless a person gave
 * the node up.
 */
export const positions: Step<BootstrapState> = async (state, context) => {
  const { ports, cluster } = context;
  await holdClaim(context);
  const asking = { ...state.asking };
  const found: Position[] = [...state.positions];
  const all = await ports.instances.ofCluster(cluster);
  const going = all.filter((i) => i.state === 'shutting-down').map((i) => i.id);
  const leaving = [...new Set([...state.leaving, ...going])];
  const nodes = all.filter((i) => canTell(i) && !state.giveUp.includes(i.id));
  const open = nodes.map((i) => i.id).filter((id) => !found.some((p) => p.node === id));
  const online = await ports.hosts.online(open);
  for (const node of open) {
    const commandId = asking[node];
    if (commandId === undefined) {
      const id = online.includes(node) ? await ask(context, node) : null;
      if (id !== null) asking[node] = id;
      continue;
    }
    const said = await ports.hosts.state(node, commandId);
    if (said.kind === 'running') continue;
    delete asking[node];
    if (said.kind === 'succeeded') found.push(parsePosition(node, said.output));
    else {
      await record(
        context,
        `position-failed-${node}`,
        `${node} could not tell its position`,
        `exit code ${said.exitCode}: ${tail(said.error || said.output)}`,
      );
    }
  }
  const missing = open.filter((id) => !found.some((p) => p.node === id));
  const patience = missing.some((id) => asking[id] !== undefined) ? DEADLINES.positionMs : SILENT_MS;
  return { ready: missing.length === 0 || context.waitedMs > patience, asking, positions: found, leaving };
};

/** Null while the host does not take commands, though SSM still, or already, says that it is online. */
async function ask({ ports }: StepContext, node: string): Promise<string | null> {
  try {
    return await ports.hosts.start(node, 'galera-position', {});
  } catch (error) {
    if (!(error instanceof HostOffline)) throw error;
    ports.log.warn('galera-position is not started yet', { instance: node, why: error.message });
    return null;
  }
}

/** @throws RecoveryError PrimaryComponentExists, NodeDidNotAnswer, PositionsDisagree, BootstrapFailed. */
export const choose: Step<BootstrapState> = async (state, context) => {
  const spec = await loadSpec(context);
  const described = await context.ports.instances.ofCluster(spec.name);
  const all = described.filter(canTell);
  // Nobody is given up by a number whom EC2 still knew by name: a person who accepts "missing node 1" did not mean its data.
  const leaving = [
    ...new Set([...state.leaving, ...described.filter((i) => i.state === 'shutting-down').map((i) => i.id)]),
  ];
  // What told its position and is gone since cannot be started: its answer counts for nothing.
  const positions = state.positions.filter((p) => all.some((i) => i.id === p.node));
  const { writer } = (await context.ports.ledger.read(spec.name)).cluster;
  // A node that is there beside its replacement fills one place with it: the third may be gone, with the newest writes.
  const there = [...new Set([...all.map((i) => i.id), ...leaving])];
  const places = there.filter((id) => !described.some((other) => canTell(other) && other.tags[REPLACES_TAG] === id));
  const missing = spec.nodes - new Set([...places, ...state.giveUp]).size;
  const nodes = [
    ...there,
    ...Array.from({ length: Math.max(0, missing) }, (_, i) => `${MISSING_NODE} ${i + 1}`),
    ...(missing > 0 ? [] : unheardWriter(writer, there, state.giveUp)),
  ];
  const choice = chooseNode({
    nodes,
    positions,
    giveUp: state.giveUp,
    primary: [
      ...new Set([
        ...(await inPrimary(context, all)),
        ...state.positions.filter((p) => p.component === 'Primary').map((p) => p.node),
      ]),
    ],
    writer,
  });
  if (choice.kind === 'refused') throw new RecoveryError(choice.error, choice.why);
  const { position, remaining, why } = choice;
  await record(
    context,
    'chosen',
    `chooses ${position.node} at ${position.stateUuid}:${position.seqno}`,
    `it is ${why}`,
  );
  if (state.giveUp.length > 0) {
    await record(
      context,
      'given-up',
      `goes on without ${state.giveUp.join(', ')}`,
      `accepted in the execution's input: ${state.reason}`,
    );
  }
  return { chosen: position, remaining: [...remaining] };
};

/** How a person gives up who has no name any more, with a number. */
const MISSING_NODE = 'missing node';

/**
 * The writer has the newest writes. Its place may be filled by a node that it had replaced, and that a person has started again since: then nobody
 * is missing, and the writes are. Empty when it is there, or a person has given it up, by its id or as a missing node.
 */
function unheardWriter(writer: string | null, there: readonly string[], giveUp: readonly string[]): readonly string[] {
  if (writer === null || [...there, ...giveUp].includes(writer)) return [];
  return giveUp.some((node) => node.startsWith(`${MISSING_NODE} `)) ? [] : [writer];
}

/** Nodes that say, asked now, that they are in a primary component. */
export async function inPrimary(context: StepContext, instances: readonly Instance[]): Promise<readonly string[]> {
  const nodes = await probeAll(context, await loadSpec(context), instances);
  return nodes.filter(isMember).map((n) => n.instance.id);
}
