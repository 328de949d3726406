/** Launches the replacement, once, whatever is killed when. */
import { createHash } from 'node:crypto';
import { RecoveryError } from '../../model/recovery.ts';
import { INCIDENT_TAG, REPLACES_TAG } from '../../model/spec.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import type { ClusterLedger, PlannedLaunch } from '../../model/ledger.ts';
import type { Instance, Node } from '../../model/view.ts';
import { GivesWay } from '../../recovery/give-way.ts';
import { holdClaim, mayDestroy } from '../../recovery/guard.ts';
import { isLive, isOurs } from '../../recovery/nodes.ts';
import { isRefusal } from '../../recovery/refusal.ts';
import { look, servingOf } from '../../recovery/serving.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { chooseSubnets } from '../choose-zone.ts';
import { useOf } from '../choose-volume.ts';
import { withoutVolume } from '../choose-seed.ts';
import type { ReplaceState } from '../state.ts';

/** EC2 has no room there: worth trying another zone. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
const NO_ROOM = new Set([
  'InsufficientInstanceCapacity',
  'InsufficientHostCapacity',
  'InsufficientFreeAddressesInSubnet',
  'InsufficientCapacity',
  'InsufficientVolumeCapacity',
  'Unsupported',
]);

/** Did an execution launch it for this lost node, in whichever incident; for a missing place, which has no name, in this one. */
export const adoptable = (i: Instance, incident: string, replaces: string | null): boolean =>
  isLive(i) && (i.tags[REPLACES_TAG] ?? null) === replaces && (replaces !== null || i.tags[INCIDENT_TAG] === incident);

/**
 * The client token of one launch: the same for a repeated step, another for another subnet, disk or lost node, since EC2
 * refuses a known token with other parameters. 64 hexadecimal characters: EC2's limit.
 */
export const clientToken = (execution: string, plan: PlannedLaunch): string =>
  createHash('sha256')
    .update(`${execution} ${plan.subnetId} ${plan.withoutDevice ?? 'all devices'} ${plan.replaces ?? 'adds one'}`)
    .digest('hex');

/**
 * What is launched is on the claim before EC2 is asked for it. A repeated step asks for that again, whatever zones and
 * volumes look like by now, since the try before may have launched it, though EC2 does not describe it yet.
 * @throws RecoveryError ClaimLost; LaunchFailed when no zone of the cluster has room, or EC2 refuses. GivesWay.
 */
export const launch: Step<ReplaceState> = async (state, context) => {
  const spec = await loadSpec(context);
  const ledger = await holdClaim(context);
  const planned = plannedFor(state, ledger);
  const all = await context.ports.instances.ofCluster(spec.name);
  const zone = state.lost?.zone ?? null;
  const volume = planned === null ? await usableVolume(state, context) : volumeOf(state, planned);
  const { known, useless } = await alreadyThere(state, context, spec, all, volume);
  const live = all.filter((i) => isLive(i) && i.id !== state.node);
  if (known === null) {
    isStillLost(state, ledger, all);
    // What may be launched already, though EC2 does not describe it yet, is gone on with.
    if (planned === null) await isStillNeeded(state, context, spec, live);
    await giveBack(context, useless);
  }
  const found =
    known === null
      ? await launchSomewhere(state, context, spec, chooseSubnets(spec.subnets, live, zone), { planned, volume })
      : { joiner: known, volume };
  const { joiner } = found;
  await context.ports.ledger.amendClaim(spec.name, context.execution, { joiner: joiner.id });
  const kept = joiner.zone === zone && !hasDevice(joiner, spec.dataDevice, found.volume) ? found.volume : null;
  await record(
    context,
    `launched-${joiner.id}`,
    `${known === null ? 'launched' : 'goes on with'} ${joiner.id} in ${joiner.zone}`,
    kept === null ? 'with a new data volume' : `the surviving volume ${kept} will be its data volume`,
  );
  const seed = kept === null ? withoutVolume(spec) : 'volume';
  return { joiner: joiner.id, volume: kept, seed, archive: null, path: 'on', command: null };
};

/**
 * EC2 may have refused to launch for minutes, in which a person has started the lost node again: it is fenced no more (safety rule 3), and what is to be done about it
 * is decided anew. A start of before the claim is an old answer of EC2.
 */
function isStillLost({ node }: ReplaceState, { claim }: ClusterLedger, all: readonly Instance[]): void {
  const instance = all.find((i) => i.id === node);
  if (instance?.state !== 'running' || instance.launchedAtMs <= (claim?.claimedAtMs ?? 0)) return;
  const startedAt = new Date(instance.launchedAtMs).toISOString();
  throw new GivesWay(`${instance.id} was started again at ${startedAt}: nothing is launched in its place`);
}

/**
 * Since this was begun, as many may have come to serve as are declared: a person has started others again, or the place was taken before a rejoin failed. What is
 * fenced is retired as a left-over then (docs/decisions/0019). What is replaced by plan is wanted whatever serves.
 */
async function isStillNeeded(
  { mode, node }: ReplaceState,
  context: StepContext,
  spec: ClusterSpec,
  live: readonly Instance[],
): Promise<void> {
  if (mode === 'roll' || live.length < spec.nodes) return;
  const there = await servingOf(context, spec, live);
  if (there.length < spec.nodes) return;
  const who = there.map((n) => n.instance.id).join(', ');
  throw new GivesWay(
    `${there.length} nodes serve (${who}), ${spec.nodes} are declared: nothing is launched ${node === null ? 'besides' : `in place of ${node}`}`,
  );
}

/** The claim's launch, if it is for this lost node: a failover may have launched for another one before. */
const plannedFor = (state: ReplaceState, { claim }: ClusterLedger): PlannedLaunch | null =>
  claim?.launch?.replaces === state.node ? claim.launch : null;

/** Launched without a disk, it gets the volume, or Attach finds that the volume has gone and gives the instance back. */
const volumeOf = (state: ReplaceState, plan: PlannedLaunch): string | null =>
  plan.withoutDevice === null ? null : state.volume;

async function usableVolume(state: ReplaceState, context: StepContext): Promise<string | null> {
  const { ports, cluster } = context;
  if (state.volume === null) return null;
  const [found] = await ports.volumes.byIds([state.volume]);
  // Attached to somebody else may mean attached to the joiner of an earlier try: Attach decides that.
  const free = found?.state === 'in-use' ? { ...found, attachedTo: state.node } : found;
  const use = useOf(cluster, free, null, state.node, state.lost?.zone ?? null);
  if (use.kind !== 'gone') return state.volume;
  await record(context, `unusable-${state.volume}`, `launches without ${state.volume}`, use.why);
  return null;
}

/** Does the instance have a data volume of its own, so that the surviving one finds its place taken. */
const hasDevice = (i: Instance, device: string, surviving: string | null): boolean =>
  i.volumes.some((v) => v.device === device && v.volumeId !== surviving);

/** EC2 forgets client tokens after a while; the tags tell as well whether the instance has been launched. */
async function alreadyThere(
  state: ReplaceState,
  context: StepContext,
  spec: ClusterSpec,
  all: readonly Instance[],
  volume: string | null,
): Promise<{ readonly known: Instance | null; readonly useless: readonly Instance[] }> {
  const found = all.filter((i) => isOurs(i, spec.name) && adoptable(i, context.incident, state.node));
  const { engine, nodes, reference } = await look(context, spec, found);
  const strangers = state.node === null ? nodes.filter((n) => !engine.isMember(n, reference)) : nodes;
  // Without a surviving volume the joiner needs a disk of its own; one that was launched without is of no use.
  const isFit = ({ instance: { state: now, volumes } }: Node): boolean =>
    volume !== null || now === 'pending' || volumes.some((v) => v.device === spec.dataDevice);
  const [fit, unfit] = [strangers.filter(isFit), strangers.filter((n) => !isFit(n))];
  const [known = null] = fit
    .map((n) => n.instance)
    .toSorted((a, b) => a.launchedAtMs - b.launchedAtMs || a.id.localeCompare(b.id));
  // One that is a member has data somewhere, and is nobody's to end.
  return { known, useless: unfit.filter((n) => !engine.isMember(n, reference)).map((n) => n.instance) };
}

/** An earlier launch for the same lost node, without a disk: nothing is on it, and with another one beside it there would be two. */
async function giveBack(context: StepContext, useless: readonly Instance[]): Promise<void> {
  for (const { id } of useless) {
    await mayDestroy(context, `terminate ${id}, which has no data disk`);
    await record(
      context,
      `no-disk-${id}`,
      `terminates ${id}`,
      'it was launched without a data disk, for a volume that has gone',
    );
    await context.ports.instances.terminate(id);
  }
}

async function launchSomewhere(
  state: ReplaceState,
  context: StepContext,
  spec: ClusterSpec,
  subnets: readonly ClusterSpec['subnets'][number][],
  before: { readonly planned: PlannedLaunch | null; readonly volume: string | null },
): Promise<{ readonly joiner: Instance; readonly volume: string | null }> {
  const refusals: string[] = [];
  const { planned } = before;
  const again = planned === null ? null : await launchOne(context, spec, planned, refusals);
  if (again !== null) return { joiner: again, volume: before.volume };
  // EC2 did not launch what the claim says: chosen anew, by how things are now.
  const volume = planned === null ? before.volume : await usableVolume(state, context);
  for (const subnet of subnets.filter((s) => s.id !== planned?.subnetId)) {
    const withVolume = volume !== null && subnet.zone === state.lost?.zone;
    const withoutDevice = withVolume ? spec.dataDevice : null;
    const plan: PlannedLaunch = { replaces: state.node, subnetId: subnet.id, withoutDevice };
    await context.ports.ledger.amendClaim(spec.name, context.execution, { launch: plan });
    const joiner = await launchOne(context, spec, plan, refusals);
    if (joiner !== null) return { joiner, volume };
  }
  throw new RecoveryError(
    'LaunchFailed',
    `EC2 has no room for ${spec.launchTemplate.id} in any subnet of ${spec.name}: ${refusals.join('; ')}; give it another instance type or subnet`,
  );
}

/**
 * Null when EC2 has no room there, which is added to `refusals`.
 * @throws RecoveryError LaunchFailed when EC2 refuses for another reason.
 */
async function launchOne(
  context: StepContext,
  spec: ClusterSpec,
  plan: PlannedLaunch,
  refusals: string[],
): Promise<Instance | null> {
  const { launchTemplate } = spec;
  try {
    return await context.ports.instances.launch({
      ...{ cluster: spec.name, incident: context.incident, launchTemplate, ...plan },
      clientToken: clientToken(context.execution, plan),
    });
  } catch (error) {
    const code = noRoom(error);
    if (code === null && isRefusal(error)) {
      const { id } = launchTemplate;
      throw new RecoveryError('LaunchFailed', `EC2 refuses to launch ${id}: ${error.name}: ${error.message}`);
    }
    if (code === null) throw error;
    const { subnetId } = plan;
    const where = `${spec.subnets.find((s) => s.id === subnetId)?.zone ?? 'a subnet of before'} (${subnetId})`;
    refusals.push(`${where}: ${code}`);
    await record(
      context,
      `no-room-${subnetId}`,
      `cannot launch in ${where}`,
      `EC2 answered ${code}: tries the next zone`,
    );
    return null;
  }
}

/** A lack of capacity comes with status 500, so that the adapter wraps it as unavailable: the code is in the cause. */
function noRoom(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if (NO_ROOM.has(error.name)) return error.name;
  return noRoom(error.cause);
}
