/** Waits until the writer's groups have the new primary. Reconcile routes; this only looks. */
import type { ClusterSpec } from '../model/spec.ts';
import { askForReconcile } from '../recovery/route.ts';
import { record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';
import { failAfter } from '../recovery/wait.ts';

/** A request may be lost: asked again with every few looks. */
const ASK_EVERY = 4;
/** The claim holds up the lost node's replacement: no longer than health checks take. */
const DEADLINE_MS = 120_000;

/** @throws RecoveryError NotRouted. */
export async function writerRouted(context: StepContext, spec: ClusterSpec, node: string): Promise<boolean> {
  if (spec.policy === 'OBSERVE') {
    await record(context, `route-${node}`, `leaves ${node} unrouted`, 'the policy is OBSERVE: routing is not changed');
    return true;
  }
  if (context.asked % ASK_EVERY === ASK_EVERY - 1) await askForReconcile(context, `route-${node}-${context.asked}`);
  const groups = spec.endpoints.flatMap((e) => (e.kind === 'targetGroup' && e.route === 'writer' ? [e.arn] : []));
  const found = await Promise.all(
    groups.map(async (arn) => ({
      arn,
      state: (await context.ports.targetGroups.health(arn)).find((t) => t.id === node)?.state ?? 'not registered',
    })),
  );
  const missing = found.filter((f) => f.state !== 'healthy').map((f) => `${f.arn}: ${f.state}`);
  if (missing.length === 0) {
    await record(context, `routed-${node}`, `${node} takes the writes`, `healthy in ${groups.length} target groups`);
    return true;
  }
  failAfter(
    context.waitedMs,
    DEADLINE_MS,
    'NotRouted',
    () => `${node} is not healthy in ${missing.join('; ')}; expected healthy`,
  );
  return false;
}
