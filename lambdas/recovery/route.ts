/** Routing is reconcile's alone: a workflow asks for it and waits until the balancers agree. */
import type { ClusterSpec } from '../model/spec.ts';
import type { Carried } from './state.ts';
import type { StepContext } from './step.ts';
import { record } from './step.ts';
import { DEADLINES, failAfter } from './wait.ts';

/** A request may be lost: asked again with every few looks. */
const ASK_EVERY = 8;

/** `cause` is unique per execution, step and turn, so that SQS drops only what a retried step repeats. */
export async function askForReconcile(context: StepContext, why: string): Promise<void> {
  const { ports, cluster, execution } = context;
  await ports.requests.send([{ cluster, cause: `${execution}/${why}` }]);
}

/**
 * Waits until `node` is a healthy target of every group that takes all healthy nodes.
 * @throws RecoveryError NotRouted.
 */
export async function route(context: StepContext, spec: ClusterSpec, node: string): Promise<Partial<Carried>> {
  if (spec.policy === 'OBSERVE') {
    await record(context, `route-${node}`, `leaves ${node} unrouted`, 'the policy is OBSERVE: routing is not changed');
    return { ready: true };
  }
  if (context.asked % ASK_EVERY === 0) await askForReconcile(context, `route-${node}-${context.asked}`);
  const groups = spec.endpoints.flatMap((e) => (e.kind === 'targetGroup' && e.route === 'healthy' ? [e.arn] : []));
  const found = await Promise.all(
    groups.map(async (arn) => {
      const target = (await context.ports.targetGroups.health(arn)).find((t) => t.id === node);
      return { arn, state: target?.state ?? 'not registered' };
    }),
  );
  const missing = found.filter((f) => f.state !== 'healthy');
  if (missing.length === 0) {
    await record(context, `routed-${node}`, `${node} takes traffic`, `healthy in ${groups.length} target groups`);
    return { ready: true };
  }
  const names = missing.map((m) => `${m.arn}: ${m.state}`).join('; ');
  failAfter(
    context.waitedMs,
    DEADLINES.routeMs,
    'NotRouted',
    () => `${node} is not healthy in ${names}; expected healthy`,
  );
  return { ready: false };
}
