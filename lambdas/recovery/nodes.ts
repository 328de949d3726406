/** Asks the nodes of a cluster how they are, now. */
import type { DbTarget } from '../cloud/ports.ts';
import type { PostgresStatus } from '../model/postgres.ts';
import type { ClusterSpec } from '../model/spec.ts';
import { CLUSTER_TAG } from '../model/spec.ts';
import type { Instance, Node, NodeStatus, Probe } from '../model/view.ts';
import type { StepContext } from './step.ts';

/** Is it an instance of this cluster by its tag (safety rule 8). */
export const isOurs = (instance: Instance, cluster: string): boolean => instance.tags[CLUSTER_TAG] === cluster;

export const isLive = (i: Instance): boolean => i.state === 'pending' || i.state === 'running';

/** One instance by id, null when EC2 does not know it (it forgets a terminated one within the hour). */
export async function describe({ ports }: StepContext, id: string): Promise<Instance | null> {
  return (await ports.instances.byIds([id]))[0] ?? null;
}

/** The database of an instance, as the plane connects to it. @throws Error when EC2 names no address of it. */
export function databaseOf({ engine }: ClusterSpec, { id, privateIp, state }: Instance): DbTarget {
  if (privateIp === null)
    throw new Error(`EC2 names no private address of ${id} (${state}); expected one to connect to`);
  return { instanceId: id, host: privateIp, port: engine.port, engine: engine.kind, tls: engine.tls };
}

/** Probes running instances all at once; others are `skipped`. Each answers within the prober's deadline. */
export async function probeAll(
  { ports }: StepContext,
  spec: ClusterSpec,
  instances: readonly Instance[],
): Promise<readonly Node[]> {
  const nowMs = ports.clock.nowMs();
  if (instances.length === 0) return [];
  const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
  return Promise.all(
    instances.map(async (instance): Promise<Node> => {
      if (instance.state !== 'running' || instance.privateIp === null) {
        const skipped: Probe = { kind: 'skipped', atMs: nowMs, detail: `EC2 says ${instance.state}` };
        return { instance, probe: skipped };
      }
      return { instance, probe: await ports.prober.probe(databaseOf(spec, instance), credentials) };
    }),
  );
}

/** The cluster's live instances, probed now. `except` are left out. */
export async function liveNodes(
  context: StepContext,
  spec: ClusterSpec,
  except: readonly (string | null)[] = [],
): Promise<readonly Node[]> {
  const all = await context.ports.instances.ofCluster(spec.name);
  return probeAll(
    context,
    spec,
    all.filter((i) => isLive(i) && !except.includes(i.id)),
  );
}

/** How a node was found, for a record or an error. */
export function inWords({ instance, probe }: Node): string {
  const said = probe.kind === 'answered' ? statusInWords(probe.status) : `${probe.kind} (${probe.detail})`;
  return `${instance.id} (EC2: ${instance.state}): ${said}`;
}

function statusInWords(status: NodeStatus): string {
  switch (status.engine) {
    case 'galera':
      return `${status.state}, ${status.component}`;
    case 'postgres':
      return postgresInWords(status);
  }
}

function postgresInWords({ inRecovery, timeline, lsn, receiver, followsHost }: PostgresStatus): string {
  const place = `timeline ${timeline} at ${lsn}`;
  if (!inRecovery) return `primary, ${place}`;
  const upstream = receiver?.senderHost ?? followsHost ?? 'nobody';
  return receiver?.status === 'streaming'
    ? `standby, ${place}, streams from ${upstream}`
    : `standby, ${place}, follows ${upstream} without a stream`;
}
