/** Cuts every standby that answers off from its upstream, all at once, and hears where it is. */
import { NodeRefused, NodeUnavailable } from '../cloud/ports.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';
import { databaseOf, inWords } from '../recovery/nodes.ts';
import { postgresStatusOf } from '../recovery/status.ts';
import type { StepContext } from '../recovery/step.ts';
import type { Told } from './state.ts';

export interface Sight {
  /** Standbys, detached by now. */
  readonly told: Readonly<Record<string, Told>>;
  /** Nodes that say that they are primaries. */
  readonly primaries: readonly string[];
  /** Nobody listens there: the host lives, the database does not. */
  readonly refused: readonly string[];
  /** They start, or recover from a crash, and let nobody in yet. */
  readonly starting: readonly string[];
  /** How each was found, for a record or an error; those that have not answered yet are missing. */
  readonly seen: readonly string[];
}

/** How long those that have not answered are waited for once the others suffice. */
const GRACE_MS = 200;

/** SQLSTATE of a server that starts up, recovers or shuts down. https://www.postgresql.org/docs/15/errcodes-appendix.html */
const CANNOT_CONNECT_NOW = '57P03';

type Found = { -readonly [K in keyof Sight]: Sight[K] };

/**
 * Asks all nodes at once. Waits for every answer, unless what has been told suffices: then `old`, the lost primary, is not
 * waited for, and the others for a moment, since one of them may be ahead. Only nodes that EC2 says are running are asked.
 */
export async function detachAll(
  context: StepContext,
  spec: ClusterSpec,
  instances: readonly Instance[],
  old: string | null,
  suffices: (sight: Sight) => boolean,
): Promise<Sight> {
  const found: Found = { told: {}, primaries: [], refused: [], starting: [], seen: [] };
  let enough: () => void = () => undefined;
  const sufficed = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const running = instances.filter((i) => i.state === 'running' && i.privateIp !== null);
  const asked = running.map(async (instance) => {
    await detachOne(context, spec, instance, found);
    if (suffices(found)) enough();
    return instance.id;
  });
  await Promise.race([Promise.all(asked), sufficed]);
  const standbys = Promise.all(asked.filter((_, i) => running[i]?.id !== old));
  await Promise.race([standbys, context.ports.clock.sleep(GRACE_MS)]);
  // What comes later must not change what was decided upon.
  return { ...found };
}

async function detachOne({ ports }: StepContext, spec: ClusterSpec, instance: Instance, found: Found): Promise<void> {
  const { id } = instance;
  const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
  const target = databaseOf(spec, instance);
  const probe = await ports.prober.probe(target, credentials);
  const node = { instance, probe };
  const status = postgresStatusOf(node);
  const see = (words: string): void => {
    found.seen = [...found.seen, words];
  };
  if (status === null) {
    if (probe.kind === 'refused') found.refused = [...found.refused, id];
    if (probe.kind === 'rejected' && probe.detail.includes(CANNOT_CONNECT_NOW))
      found.starting = [...found.starting, id];
    return see(inWords(node));
  }
  if (!status.inRecovery) {
    found.primaries = [...found.primaries, id];
    return see(inWords(node));
  }
  try {
    const { timeline, lsn } = await ports.admin.detach(target, credentials);
    found.told = { ...found.told, [id]: { timeline, lsn, systemId: status.systemId } };
    see(`${id}: detached, timeline ${timeline} at ${lsn}`);
  } catch (error) {
    if (!(error instanceof NodeUnavailable) && !(error instanceof NodeRefused)) throw error;
    see(`${id}: could not be detached (${error.message})`);
  }
}
