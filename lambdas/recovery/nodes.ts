/** Asks the nodes of a cluster how they are, now. */
import type { GaleraStatus } from '../model/galera.ts';
import { servesInNeed } from '../model/galera.ts';
import type { ClusterSpec } from '../model/spec.ts';
import { CLUSTER_TAG } from '../model/spec.ts';
import type { Instance, Node, Probe } from '../model/view.ts';
import type { StepContext } from './step.ts';

/** Is it an instance of this cluster by its tag (safety rule 8). */
export const isOurs = (instance: Instance, cluster: string): boolean => instance.tags[CLUSTER_TAG] === cluster;

export const isLive = (i: Instance): boolean => i.state === 'pending' || i.state === 'running';

export const statusOf = (node: Node): GaleraStatus | null =>
  node.probe.kind === 'answered' ? node.probe.status : null;

/** Does the node serve, or would it with nobody better. */
export function isServing(node: Node): boolean {
  const status = statusOf(node);
  return node.instance.state === 'running' && status !== null && servesInNeed(status);
}

export const isMember = (node: Node): boolean => statusOf(node)?.component === 'Primary';

/** One instance by id, null when EC2 does not know it (it forgets a terminated one within the hour). */
export async function describe({ ports }: StepContext, id: string): Promise<Instance | null> {
  return (await ports.instances.byIds([id]))[0] ?? null;
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
      const { privateIp: host, id: instanceId } = instance;
      if (instance.state !== 'running' || host === null) {
        const skipped: Probe = { kind: 'skipped', atMs: nowMs, detail: `EC2 says ${instance.state}` };
        return { instance, probe: skipped };
      }
      const { port, tls } = spec.engine;
      return { instance, probe: await ports.prober.probe({ instanceId, host, port, tls }, credentials) };
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
  const said =
    probe.kind === 'answered' ? `${probe.status.state}, ${probe.status.component}` : `${probe.kind} (${probe.detail})`;
  return `${instance.id} (EC2: ${instance.state}): ${said}`;
}
