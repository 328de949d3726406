/** A plan's routing carried out on a view, change by change. */
import type { Change } from '../../../lambdas/model/change.ts';
import type { ClusterView, Target } from '../../../lambdas/model/view.ts';

/** The view as it is when the plan's routing has been carried out. */
export function routed(view: ClusterView, changes: readonly Change[]): ClusterView {
  let next = view;
  for (const c of changes) next = step(next, c);
  return next;
}

export function step(view: ClusterView, c: Change): ClusterView {
  switch (c.kind) {
    case 'SetWriter':
      return { ...view, ledger: { ...view.ledger, writer: c.to, epoch: view.ledger.epoch + 1 } };
    case 'Deregister':
      return withTargets(view, c.groupArn, (all) =>
        all.map((t) => (c.targets.some((x) => x.id === t.id && x.port === t.port) ? { ...t, state: 'draining' } : t)),
      );
    case 'Register':
      return withTargets(view, c.groupArn, (all) => [
        ...all.filter((t) => !c.targets.some((x) => x.id === t.id && x.port === t.port)),
        ...c.targets.map((t): Target => ({ ...t, state: 'healthy' })),
      ]);
    case 'UpsertRecord':
      return {
        ...view,
        dns: view.dns.map((d) => ({ ...d, values: [c.value], recordTtlSeconds: c.ttlSeconds, owner: view.spec.name })),
      };
    case 'NoteSuspicion': {
      const others = Object.entries(view.ledger.suspicions).filter(([id]) => id !== c.node);
      const suspicions = Object.fromEntries(c.suspicion === null ? others : [...others, [c.node, c.suspicion]]);
      return { ...view, ledger: { ...view.ledger, suspicions } };
    }
    case 'Forget':
    case 'OpenIncident':
    case 'CloseIncident':
    case 'ReleaseClaim':
    case 'SettleDrain':
    case 'StartRecovery':
    case 'SetSync':
    case 'SetSlots':
    case 'Follow':
      return view;
  }
}

const withTargets = (
  view: ClusterView,
  arn: string,
  change: (all: readonly Target[]) => readonly Target[],
): ClusterView => ({
  ...view,
  targetGroups: view.targetGroups.map((g) => (g.arn === arn ? { ...g, targets: change(g.targets) } : g)),
});

/** Ids that the balancer would still send connections to. */
export const present = (targets: readonly Target[]): string[] =>
  targets.filter((t) => t.state !== 'draining').map((t) => t.id);
