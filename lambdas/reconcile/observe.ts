/**
 * One immutable picture of a cluster. Six AWS calls when all is well, the specification first and the others at once:
 * GetParameter, DescribeInstances, DescribeTargetHealth for each group, ListResourceRecordSets for each record, BatchGetItem
 * (ledger and brake). The secret is cached; the execution is asked for only when the ledger holds a claim. Health of the
 * database comes from our own probes, never from a cache. One more call while a target that is not ours is of a stopped instance.
 */
import { CloudUnavailable } from '../cloud/ports.ts';
import type { DbCredentials } from '../cloud/ports.ts';
import type { ClusterLedger } from '../model/ledger.ts';
import type { ClusterSpec, DnsEndpoint, TargetGroupEndpoint } from '../model/spec.ts';
import { CONFIRM_AFTER_MS, isProbeSuspicion } from '../model/suspicion.ts';
import { REPLACES_TAG, describeProblems } from '../model/spec.ts';
import type { ClusterView, DnsView, Instance, Node, Probe, TargetGroupView } from '../model/view.ts';
import type { ReconcilePorts } from './ports.ts';
import { forgottenBy } from './forgotten.ts';
import { secondLook } from './postgres/second-look.ts';

/** A specification that does not parse: nothing can be decided until a person mends it. */
export class BadSpec extends Error {
  override readonly name = 'BadSpec';
}

/**
 * Answers null when no such cluster is declared (any more).
 * @throws BadSpec naming every property that is wrong; errors of the adapters.
 */
export async function observe(cluster: string, ports: ReconcilePorts): Promise<ClusterView | null> {
  await ports.pace?.turn('specs');
  const found = await ports.specs.get(cluster);
  if (found === null) return null;
  if (!found.ok) throw new BadSpec(describeProblems(cluster, found.problems));
  const { spec } = found;
  const remembered = observeLedger(cluster, ports);
  const [nodes, targetGroups, dns, memory] = await Promise.all([
    observeNodes(spec, remembered, ports),
    observeGroups(spec, ports),
    Promise.all(spec.endpoints.filter((e) => e.kind === 'dns').map((e) => observeRecord(e, spec, ports))),
    remembered,
  ]);
  const instances = nodes.map((n) => n.instance);
  const first = {
    ...{ spec, targetGroups, dns, ...memory },
    forgotten: await forgottenBy(ports, instances, nodes, targetGroups),
    atMs: ports.clock.nowMs(),
    nodes: relevant(nodes, targetGroups, memory.ledger, spec),
  };
  return (await askAgain(first, ports)) ?? first;
}

/** The replicas of a PostgreSQL primary that does not answer are asked again; null when there is no need. */
async function askAgain(view: ClusterView, ports: ReconcilePorts): Promise<ClusterView | null> {
  const look = secondLook(view, ports.clock.nowMs());
  if (look === null) return null;
  if (look.waitMs > 0) await ports.clock.sleep(look.waitMs);
  const login = await readCredentials(view.spec, ports, false);
  const again = await Promise.all(
    look.ask.map(async ({ instance }) => ({ instance, probe: await probe(view.spec, ports, instance, login) })),
  );
  const nodes = view.nodes.map((n) => again.find((a) => a.instance.id === n.instance.id) ?? n);
  return { ...view, nodes, atMs: ports.clock.nowMs() };
}

async function observeLedger(
  cluster: string,
  ports: ReconcilePorts,
): Promise<Pick<ClusterView, 'ledger' | 'brake' | 'claimExecution'>> {
  const { cluster: ledger, brake } = await ports.ledger.read(cluster);
  const claimExecution = ledger.claim === null ? null : await observeExecution(ledger.claim.execution, cluster, ports);
  return { ledger, brake, claimExecution };
}

/** Null when Step Functions does not say, or others are before us: the claim then counts as alive, and routing goes on. */
async function observeExecution(
  execution: string,
  cluster: string,
  ports: ReconcilePorts,
): Promise<ClusterView['claimExecution']> {
  if (ports.pace?.may('executions') === false) return null;
  try {
    return await ports.workflows.state(execution);
  } catch (error) {
    if (!(error instanceof CloudUnavailable)) throw error;
    ports.log.error('the execution that holds the claim cannot be asked for', { cluster, execution, error });
    ports.metrics.count('ExecutionUnreadable', 1, { cluster });
    return null;
  }
}

async function observeGroups(spec: ClusterSpec, ports: ReconcilePorts): Promise<readonly TargetGroupView[]> {
  const groups = spec.endpoints.filter((e) => e.kind === 'targetGroup');
  await ports.pace?.turn('describe', groups.length);
  return Promise.all(groups.map((e) => observeGroup(e, ports)));
}

async function observeGroup(e: TargetGroupEndpoint, ports: ReconcilePorts): Promise<TargetGroupView> {
  const targets = await ports.targetGroups.health(e.arn);
  return { arn: e.arn, route: e.route, drainSeconds: e.drainSeconds, targets };
}

/** Safety rule 9: Route 53 may be away or throttle us, and everything else goes on. */
async function observeRecord(e: DnsEndpoint, spec: ClusterSpec, ports: ReconcilePorts): Promise<DnsView> {
  const { zoneId, name, ttlSeconds } = e;
  const { name: cluster } = spec;
  const unread = { zoneId, name, ttlSeconds, values: [], recordTtlSeconds: null, owner: null };
  // Reads and changes of all clusters are one bucket, that cannot be raised much: while writes of others wait, a record comes after the balancer that has the writes.
  const canWait = spec.endpoints.some((other) => other.kind === 'targetGroup' && other.route === 'writer');
  if ((canWait && ports.pace?.isShort(0) === true) || ports.pace?.may('dns') === false)
    return { ...unread, unread: { why: 'others are before it', passing: true } };
  try {
    const found = await ports.dns.read(zoneId, name);
    return { zoneId, name, ttlSeconds, values: found.values, recordTtlSeconds: found.ttlSeconds, owner: found.owner };
  } catch (error) {
    ports.log.error('a record cannot be read and is left as it is', { cluster, name, error });
    ports.metrics.count('RecordUnreadable', 1, { cluster });
    return { ...unread, unread: { why: String(error), passing: error instanceof CloudUnavailable } };
  }
}

/** Well above what a living node takes to answer, in milliseconds. */
const MUTE_DEADLINE_MS = 300;

/**
 * It has been failing for long enough to be believed, and writes do not go to it: the new writer's routing must not wait for
 * it. Whether it is back, the watch finds out with all patience.
 */
function isKnownMute(node: string, ledger: ClusterLedger, nowMs: number): boolean {
  const suspicion = ledger.suspicions[node];
  if (suspicion === undefined || !isProbeSuspicion(suspicion)) return false;
  // Whoever looks while a failover is at work would hold up the look that comes right after the promotion.
  if (node === ledger.writer && ledger.claim?.mode !== 'failover') return false;
  return nowMs - suspicion.sinceMs >= CONFIRM_AFTER_MS;
}

async function instancesOf(spec: ClusterSpec, ports: ReconcilePorts): Promise<readonly Instance[]> {
  await ports.pace?.turn('instances');
  return ports.instances.ofCluster(spec.name);
}

/** All nodes are probed at once. A refused login may only mean that the secret was rotated: it is read fresh, once. */
async function observeNodes(
  spec: ClusterSpec,
  remembered: Promise<Pick<ClusterView, 'ledger'>>,
  ports: ReconcilePorts,
): Promise<readonly Node[]> {
  const [instances, credentials, { ledger }] = await Promise.all([
    instancesOf(spec, ports),
    readCredentials(spec, ports, false),
    remembered,
  ]);
  const probeAll = (some: readonly Instance[], login: DbCredentials | string): Promise<readonly Node[]> =>
    Promise.all(
      some.map(async (instance) => {
        const brief = isKnownMute(instance.id, ledger, ports.clock.nowMs()) ? { deadlineMs: MUTE_DEADLINE_MS } : {};
        return { instance, probe: await probe(spec, ports, instance, login, brief) };
      }),
    );

  const nodes = await probeAll(instances, credentials);
  const rejected = nodes.filter((n) => n.probe.kind === 'rejected').map((n) => n.instance);
  if (rejected.length === 0) return nodes;
  const again = await probeAll(rejected, await readCredentials(spec, ports, true));
  return nodes.map((n) => again.find((a) => a.instance.id === n.instance.id) ?? n);
}

/**
 * A sentence instead of credentials when they cannot be read. It becomes each probe's verdict (`rejected`: we cannot look),
 * so that what EC2 alone can tell, such as a terminated node, is still acted upon.
 */
async function readCredentials(
  spec: ClusterSpec,
  ports: ReconcilePorts,
  fresh: boolean,
): Promise<DbCredentials | string> {
  try {
    return await ports.secrets.credentials(spec.credentialsSecretArn, { fresh });
  } catch (error) {
    ports.log.error('the credentials cannot be read, so that no node can be probed', { cluster: spec.name, error });
    ports.metrics.count('CredentialsUnreadable', 1);
    return `the credentials in ${spec.credentialsSecretArn} cannot be read: ${String(error)}`;
  }
}

async function probe(
  spec: ClusterSpec,
  ports: ReconcilePorts,
  instance: Instance,
  credentials: DbCredentials | string,
  brief: { readonly deadlineMs?: number } = {},
): Promise<Probe> {
  const atMs = ports.clock.nowMs();
  if (instance.state !== 'running') return { kind: 'skipped', atMs, detail: `EC2 says ${instance.state}` };
  if (instance.privateIp === null) {
    return { kind: 'unreachable', atMs, tookMs: 0, detail: 'EC2 names no private address' };
  }
  if (typeof credentials === 'string') return { kind: 'rejected', atMs, tookMs: 0, detail: credentials };
  const { kind: engine, port, tls } = spec.engine;
  const target = { instanceId: instance.id, host: instance.privateIp, port, engine, tls, ...brief };
  return ports.prober.probe(target, credentials);
}

/** Ids of the nodes for which a PostgreSQL node has a slot. */
const heldSlots = ({ probe: p }: Node): string[] =>
  p.kind === 'answered' && p.status.engine === 'postgres'
    ? p.status.slots.map((slot) => slot.name.replaceAll('_', '-'))
    : [];

/**
 * EC2 describes a terminated instance for about an hour. It is kept only while it matters: it is still a target, the
 * ledger names it, a slot of it is still there, or it explains why the cluster has too few instances (then the last of each chain of replacements).
 */
export function relevant(
  nodes: readonly Node[],
  targetGroups: readonly TargetGroupView[],
  ledger: ClusterLedger,
  spec: ClusterSpec,
): readonly Node[] {
  const isTerminated = (n: Node): boolean => n.instance.state === 'terminated';
  const named = new Set([
    ...targetGroups.flatMap((g) => g.targets.map((t) => t.id)),
    ...[ledger.writer, ledger.claim?.node, ledger.incident?.node].flatMap((id) => id ?? []),
    ...nodes.flatMap(heldSlots),
  ]);
  const replaced = new Set(nodes.flatMap((n) => n.instance.tags[REPLACES_TAG] ?? []));
  // A stopped node that has been replaced explains nothing: it is there, and no capacity.
  const inPlace = nodes.filter((n) => !isTerminated(n));
  const succeeded = new Set(inPlace.flatMap((n) => n.instance.tags[REPLACES_TAG] ?? []));
  const tooFew = inPlace.filter((n) => !succeeded.has(n.instance.id)).length < spec.nodes;
  const matters = (n: Node): boolean => named.has(n.instance.id) || (tooFew && !replaced.has(n.instance.id));
  return nodes.filter((n) => !isTerminated(n) || matters(n)).sort((a, b) => (a.instance.id < b.instance.id ? -1 : 1));
}
