/** Takes the cluster's claim and looks once more whether there is anything to do. */
import { orphanedVolume } from '../../replace/choose-volume.ts';
import type { ClusterLedger } from '../../model/ledger.ts';
import type { ClusterSpec, PostgresEngine } from '../../model/spec.ts';
import { dataVolumeOf } from '../../model/view.ts';
import type { Instance } from '../../model/view.ts';
import { takeClaim } from '../../recovery/claim.ts';
import { mustBeOurs } from '../../recovery/guard.ts';
import { databaseOf } from '../../recovery/nodes.ts';
import { postgresStatusOf } from '../../recovery/status.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import type { FailoverState } from '../state.ts';

/** A primary that serves answers within milliseconds; that it does not was seen twice before this began. */
const PATIENCE_MS = 150;

/**
 * @throws RecoveryError ClaimLost, BrakeEngaged; FenceFailed when the writer is not an instance of the cluster.
 */
export const claim: Step<FailoverState> = async (state, context) => {
  const [spec, ledger, instances] = await Promise.all([
    loadSpec(context),
    takeClaim(state, 'failover', context),
    context.ports.instances.ofCluster(context.cluster),
  ]);
  postgresOf(spec);
  const idle = standsBack(ledger);
  if (idle !== null) return { path: 'finished', outcome: idle };
  // Nobody but the ledger's writer can be the primary: that one is fenced, whatever the input says.
  const node = ledger.writer ?? state.node;
  const instance = await instanceOf(context, instances, node);
  if (instance !== null && (await serves(context, spec, instance))) {
    return { path: 'finished', node, outcome: `nothing to do: ${instance.id} serves as the primary` };
  }
  return {
    path: 'on',
    node,
    ...(await dataOf(context, spec, ledger, instance)),
    lastSeen: ledger.position === null ? null : { node: ledger.position.node, timeline: ledger.position.timeline },
  };
};

/** Maintenance is begun only while nobody holds the claim, so that this look, under the claim, holds. */
function standsBack({ maintenance }: ClusterLedger): string | null {
  if (maintenance === null) return null;
  return `stands back: ${maintenance.node} is in maintenance by ${maintenance.by}, and nothing fails over while a person is at work`;
}

/** @throws Error when the cluster is of another engine. */
export function postgresOf(spec: ClusterSpec): PostgresEngine {
  if (spec.engine.kind === 'postgres') return spec.engine;
  throw new Error(
    `the engine of ${spec.name} is ${spec.engine.kind}: expected postgres; a Galera cluster needs no failover`,
  );
}

async function instanceOf(
  { ports, cluster }: StepContext,
  instances: readonly Instance[],
  id: string | null,
): Promise<Instance | null> {
  if (id === null) return null;
  const found = instances.find((i) => i.id === id) ?? (await ports.instances.byIds([id]))[0];
  // A terminated instance loses its tags before EC2 forgets it; it needs no fence.
  if (found !== undefined && found.state !== 'terminated') mustBeOurs(found, cluster);
  return found ?? null;
}

async function serves({ ports }: StepContext, spec: ClusterSpec, instance: Instance): Promise<boolean> {
  if (instance.state !== 'running' || instance.privateIp === null) return false;
  const credentials = await ports.secrets.credentials(spec.credentialsSecretArn);
  const probe = await Promise.race([
    ports.prober.probe(databaseOf(spec, instance), credentials),
    ports.clock.sleep(PATIENCE_MS),
  ]);
  return probe !== undefined && postgresStatusOf({ instance, probe })?.inRecovery === false;
}

/** The volume that may hold what nobody else has; `lost.volume` only when it is proven to be the lost primary's own. */
export async function dataOf(
  { ports, cluster }: StepContext,
  spec: ClusterSpec,
  { writerVolume }: ClusterLedger,
  instance: Instance | null,
): Promise<Pick<FailoverState, 'lost' | 'volume'>> {
  const zone = instance?.zone ?? null;
  const kept = (instance === null ? null : dataVolumeOf(instance, spec.dataDevice)) ?? writerVolume;
  const gone = instance === null || instance.state === 'terminated';
  const volume = kept ?? (gone ? orphanedVolume(await ports.volumes.ofCluster(cluster), cluster, zone) : null);
  return { lost: { zone, volume: kept }, volume };
}
