/** What stands in the way of taking a node out of a cluster by plan. */
import type { ClusterLedger, FleetBrake } from '../model/ledger.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';
import { missingAcknowledgements } from '../recovery/acknowledgements.ts';
import { inWords } from '../recovery/nodes.ts';
import { look, serving } from '../recovery/serving.ts';
import type { StepContext } from '../recovery/step.ts';

/** What only a person takes away; null: nothing. */
export function forbidden({ maintenance }: ClusterLedger, brake: FleetBrake, spec: ClusterSpec): string | null {
  if (brake.engaged)
    return `the fleet brake is engaged (${brake.reason ?? 'no reason given'}); release it when it is safe`;
  if (maintenance !== null) {
    return `${maintenance.node} is in maintenance by ${maintenance.by}; end that first with {"action":"maintenance-off"}`;
  }
  if (spec.policy === 'OBSERVE') return 'the policy is OBSERVE, so no node can be drained; expected ROUTE or HEAL';
  return null;
}

/** What passes, or is being mended, by itself; null: nothing. */
export async function unsettled(
  context: StepContext,
  spec: ClusterSpec,
  { claim, incident, sync }: ClusterLedger,
  live: readonly Instance[],
): Promise<string | null> {
  if (claim !== null) return `${claim.execution} is at work (${claim.mode} of ${claim.node ?? 'the cluster'})`;
  if (incident !== null) return `incident ${incident.id} is open (${incident.diagnosis})`;
  const found = await look(context, spec, live);
  const there = serving(found).length;
  if (there !== spec.nodes || live.length !== spec.nodes) {
    return `${there} of ${live.length} instances serve (${found.nodes.map(inWords).join('; ')}), expected ${spec.nodes} of ${spec.nodes}`;
  }
  return missingAcknowledgements(spec, sync, null);
}
