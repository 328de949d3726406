/** What is left of a plan while requests of other clusters wait. Pure. */
import type { Plan } from '../model/change.ts';
import type { ClusterView } from '../model/view.ts';

/**
 * When writes move or a recovery starts, nodes leave the readers' groups at the next look: the balancer sends nothing to a dead one, and each group costs calls that other
 * clusters' writes wait for. A changed route is looked at again anyway. Any other plan is carried out as it is.
 */
export function writesFirst(plan: Plan, view: ClusterView): Plan {
  if (!plan.changes.some((c) => c.kind === 'SetWriter' || c.kind === 'StartRecovery')) return plan;
  const readers = new Set(view.targetGroups.filter((g) => g.route === 'healthy').map((g) => g.arn));
  const changes = plan.changes.filter((c) => c.kind !== 'Deregister' || !readers.has(c.groupArn));
  return changes.length === plan.changes.length ? plan : { ...plan, changes };
}
