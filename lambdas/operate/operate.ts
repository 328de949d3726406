/**
 * A person's hand on the plane. It writes what the person wants to the ledger and asks for a reconcile, which does it within
 * the safety rules: whether a node can be drained without taking the last target away is decided there, from what is so then.
 */
import { CloudUnavailable, Conflict } from '../cloud/ports.ts';
import type { ClusterLedger, FleetBrake, IncidentEntry } from '../model/ledger.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';
import { acceptLoss } from './accept-loss.ts';
import type { OperatePorts } from './ports.ts';
import { parseRequest } from './request.ts';
import type { OperateRequest } from './request.ts';
import { mostUrgentFirst } from './urgency.ts';

export type OperateAnswer =
  | { readonly accepted: true; readonly message: string }
  | { readonly accepted: false; readonly message: string }
  | {
      readonly accepted: true;
      readonly message: string;
      readonly ledger: ClusterLedger;
      readonly brake: FleetBrake;
      readonly incident: readonly IncidentEntry[];
    };

/** Never throws for what the person got wrong; throws what AWS got wrong, so that the invocation shows it. */
export async function operate(input: unknown, ports: OperatePorts): Promise<OperateAnswer> {
  const request = parseRequest(input);
  if (typeof request === 'string') return refuse(request);
  const answer = await carryOut(request, ports);
  ports.log.info('operated', { request, accepted: answer.accepted, message: answer.message });
  return answer;
}

async function carryOut(request: OperateRequest, ports: OperatePorts): Promise<OperateAnswer> {
  if (request.action === 'release-brake') return releaseBrake(request.by, ports);
  const specs = await ports.specs.list();
  const clusters = specs.map((s) => s.cluster);
  if (!clusters.includes(request.cluster)) {
    return refuse(`no cluster ${JSON.stringify(request.cluster)}; there are ${list(clusters)}`);
  }
  const result = specs.find((s) => s.cluster === request.cluster)?.result;
  // Without a specification that can be read, a person's hand still works.
  const spec = result?.ok === true ? result.spec : null;
  switch (request.action) {
    case 'maintenance-on':
      return maintenanceOn(request, spec, ports);
    case 'maintenance-off':
      return maintenanceOff(request, spec, ports);
    case 'accept-loss':
      return spec === null
        ? refuse(`the specification of ${request.cluster} cannot be read: mend it first`)
        : acceptAndAsk(request, spec, ports);
    case 'acknowledge':
      return acknowledge(request.cluster, request.by, ports);
    case 'status':
      return status(request.cluster, ports);
  }
}

type OfNode = Extract<OperateRequest, { readonly node: string }>;

async function maintenanceOn(
  { cluster, node, by }: OfNode,
  spec: ClusterSpec | null,
  ports: OperatePorts,
): Promise<OperateAnswer> {
  const [instances, { cluster: ledger }] = await Promise.all([
    ports.instances.ofCluster(cluster),
    ports.ledger.read(cluster),
  ]);
  const live = instances.filter((i) => i.state !== 'terminated' && i.state !== 'shutting-down').map((i) => i.id);
  if (!live.includes(node)) return refuse(`${node} is no instance of ${cluster}; there are ${list(live)}`);
  const { maintenance, claim } = ledger;
  if (maintenance !== null && maintenance.node !== node) {
    return refuse(
      `${maintenance.node} of ${cluster} is in maintenance by ${maintenance.by} already, and one node at a time is what a ` +
        'cluster can spare: end that first with {"action":"maintenance-off"}',
    );
  }
  if (claim !== null) {
    return refuse(
      `${claim.execution} is at work on ${cluster} (${claim.mode} of ${claim.node ?? 'the cluster'}): ask again when it has ended`,
    );
  }
  if (maintenance === null) {
    try {
      await ports.ledger.setMaintenance(cluster, { node, by, sinceMs: ports.clock.nowMs() });
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      return refuse(`in this moment somebody else took the cluster in hand: ${error.message}`);
    }
  }
  await note(cluster, ledger, 'maintenance on', `${node}, by ${by}`, ports);
  await ask([cluster], 'maintenance-on', ports);
  if (spec?.engine.kind !== 'postgres') {
    return accept(`${node} of ${cluster} is in maintenance: it is drained as soon as another node can take its place`);
  }
  const off = `no failover of ${cluster} starts until maintenance-off`;
  return ledger.writer === node
    ? accept(
        `${node} of ${cluster} is in maintenance, and it is the primary: it is not drained, and ${off}. To move the writes ` +
          'away, end this, start the state machine switchover with {"cluster":"' +
          `${cluster}"}, then ask again`,
      )
    : accept(`${node} of ${cluster} is in maintenance: it is drained as soon as another node serves, and ${off}`);
}

async function acceptAndAsk(request: OfNode, spec: ClusterSpec, ports: OperatePorts): Promise<OperateAnswer> {
  const { accepted, message } = await acceptLoss(request, spec, ports);
  if (!accepted) return refuse(message);
  const { cluster, node, by } = request;
  const { cluster: ledger } = await ports.ledger.read(cluster);
  await note(cluster, ledger, `accepts the loss that ${node} brings as the primary`, `by ${by}: ${message}`, ports);
  await ask([cluster], 'accept-loss', ports);
  return accept(message);
}

async function maintenanceOff(
  { cluster, node, by }: OfNode,
  spec: ClusterSpec | null,
  ports: OperatePorts,
): Promise<OperateAnswer> {
  const { cluster: ledger } = await ports.ledger.read(cluster);
  if (ledger.maintenance?.node !== node) {
    return refuse(
      `${node} of ${cluster} is not in maintenance; in maintenance is ${ledger.maintenance?.node ?? 'no node'}`,
    );
  }
  // Silence while a person worked on it is no evidence: whatever is suspected of it is suspected from now on.
  await ports.ledger.setSuspicion(cluster, node, null);
  await ports.ledger.setMaintenance(cluster, null);
  await note(cluster, ledger, 'maintenance off', `${node}, by ${by}`, ports);
  await ask([cluster], 'maintenance-off', ports);
  const when = spec?.engine.kind === 'postgres' ? 'it is the primary or streams from it' : 'it is Synced';
  return accept(`${node} of ${cluster} is out of maintenance: it is routed to again as soon as ${when}`);
}

async function acknowledge(cluster: string, by: string, ports: OperatePorts): Promise<OperateAnswer> {
  const { cluster: ledger } = await ports.ledger.read(cluster);
  const { escalation } = ledger;
  if (escalation === null) return refuse(`${cluster} has no escalation to acknowledge`);
  if (escalation.acknowledgedBy !== undefined) {
    return refuse(`attempt ${escalation.attempts} is acknowledged already, by ${escalation.acknowledgedBy}`);
  }
  // The count stays as long as the incident: names of executions follow it, and those that have ended are taken.
  const goesOn = ledger.incident?.id === escalation.incident;
  await ports.ledger.setEscalation(cluster, goesOn ? { ...escalation, acknowledgedBy: by } : null);
  await ports.ledger.record(cluster, escalation.incident, `acknowledged ${escalation.attempts}`, {
    atMs: ports.clock.nowMs(),
    who: 'operate',
    what: `acknowledged attempt ${escalation.attempts}`,
    why: `by ${by}; it had failed: ${escalation.reason}`,
  });
  await ask([cluster], 'acknowledge', ports);
  return accept(
    `the escalation of ${escalation.incident} is acknowledged: recovery is tried again if it is still needed`,
  );
}

async function releaseBrake(by: string, ports: OperatePorts): Promise<OperateAnswer> {
  await ports.ledger.releaseBrake(by, ports.clock.nowMs());
  const listed = await ports.specs.list();
  const specs = listed.map(({ cluster, result }) => ({ cluster, spec: result.ok ? result.spec : null }));
  const clusters = mostUrgentFirst(specs, await instancesByCluster(ports));
  await askInTurn(clusters, 'release-brake', ports);
  return accept(`the fleet brake is released; ${list(clusters)} are looked at again`);
}

/** The order is a courtesy: a release does not wait for EC2. */
async function instancesByCluster(ports: OperatePorts): Promise<ReadonlyMap<string, readonly Instance[]>> {
  try {
    return await ports.instances.ofEveryCluster();
  } catch (error) {
    if (!(error instanceof CloudUnavailable)) throw error;
    ports.log.warn('EC2 does not say who has lost most: clusters are looked at by name', { error });
    return new Map();
  }
}

async function status(cluster: string, ports: OperatePorts): Promise<OperateAnswer> {
  const { cluster: ledger, brake } = await ports.ledger.read(cluster);
  const id = ledger.incident?.id ?? ledger.escalation?.incident ?? null;
  const incident = id === null ? [] : await ports.ledger.incident(cluster, id);
  const message = id === null ? `${cluster} has no open incident` : `incident ${id}`;
  return { accepted: true, message, ledger, brake, incident };
}

/** On the record of the open incident, when there is one. */
async function note(
  cluster: string,
  ledger: ClusterLedger,
  what: string,
  why: string,
  ports: OperatePorts,
): Promise<void> {
  if (ledger.incident === null) return;
  const atMs = ports.clock.nowMs();
  await ports.ledger.record(cluster, ledger.incident.id, `${what} ${atMs}`, { atMs, who: 'operate', what, why });
}

async function ask(clusters: readonly string[], action: string, ports: OperatePorts): Promise<void> {
  const cause = `operate-${action}-${ports.unique()}`;
  await ports.requests.send(clusters.map((cluster) => ({ cluster, cause })));
}

/** EC2 takes two launches a second, after five at once: clusters that were all asked for at once would not start in their order. */
const AT_ONCE = 5;
const A_SECOND = 1.5;
/** SQS delays a message by a quarter of an hour at most. */
const LATEST_SECONDS = 900;

/** Asks for the clusters in this order, as fast as replacements can be launched; those of a fleet that is larger come together at the end. */
async function askInTurn(clusters: readonly string[], action: string, ports: OperatePorts): Promise<void> {
  await ask(clusters.slice(0, AT_ONCE), action, ports);
  const cause = `operate-${action}-${ports.unique()}`;
  await Promise.all(
    clusters.slice(AT_ONCE).map((cluster, n) => {
      const delaySeconds = Math.min(LATEST_SECONDS, 1 + Math.floor(n / A_SECOND));
      return ports.requests.sendLater(cluster, delaySeconds, `${cause}-${cluster}`);
    }),
  );
}

const refuse = (message: string): OperateAnswer => ({ accepted: false, message });
const accept = (message: string): OperateAnswer => ({ accepted: true, message });
const list = (names: readonly string[]): string => (names.length === 0 ? 'none' : [...names].sort().join(', '));
