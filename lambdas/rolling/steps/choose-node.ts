/** Waits until the cluster is whole, then says whose turn it is. */
import { RecoveryError } from '../../model/recovery.ts';
import { isLive } from '../../recovery/nodes.ts';
import { askForReconcile } from '../../recovery/route.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { MINUTES } from '../../recovery/wait.ts';
import { chooseNext } from '../choose-next.ts';
import { forbidden, unsettled } from '../obstacles.ts';
import type { RollingState } from '../state.ts';

/** After a child's end: its claim goes, reconcile routes, enters the new replica into the quorum and closes incidents. */
const SETTLE_MS = 15 * MINUTES;
/** A request may be lost: asked again with every few looks. */
const ASK_EVERY = 8;

/** @throws RecoveryError RollingStopped: not whole in time, or a node is still there though its workflow ended well. */
export const chooseNode: Step<RollingState> = async (state, context) => {
  const { ports, cluster, incident } = context;
  const spec = await loadSpec(context);
  const { cluster: ledger, brake } = await ports.ledger.read(cluster);
  const refused = forbidden(ledger, brake, spec);
  if (refused !== null) throw new RecoveryError('RollingStopped', `${cluster}: ${refused}`);
  const live = (await ports.instances.ofCluster(cluster)).filter(isLive);
  const obstacle = await unsettled(context, spec, ledger, live);
  if (obstacle !== null) {
    if (context.waitedMs > SETTLE_MS) {
      throw new RecoveryError('RollingStopped', `${cluster} is not whole after ${SETTLE_MS / 1000} s: ${obstacle}`);
    }
    if (context.asked % ASK_EVERY === 0) await askForReconcile(context, `next-${state.rolled.length}-${context.asked}`);
    return { ready: false };
  }
  const version = await ports.instances.templateVersion(spec.launchTemplate);
  const act = chooseNext({
    engine: spec.engine.kind,
    instances: live,
    writer: ledger.writer,
    templateId: spec.launchTemplate.id,
    version,
    incident,
  });
  if (act.kind === 'done') return { path: 'done', child: null, outcome: outcomeOf(state, cluster, version) };
  const before = act.kind === 'roll' ? state.rolled : state.switched;
  if (before.includes(act.node)) {
    throw new RecoveryError(
      'RollingStopped',
      `the ${act.kind} of ${act.node} has ended, and it is still there (${act.why}): see its record, then start this again`,
    );
  }
  const what = act.kind === 'roll' ? `replaces ${act.node}` : `moves the writes away from ${act.node}`;
  await record(context, `${act.kind}-${act.node}`, what, act.why);
  return { path: 'child', child: { mode: act.kind, node: act.node, execution: null } };
};

const outcomeOf = ({ rolled }: RollingState, cluster: string, version: string): string =>
  rolled.length === 0
    ? `every node of ${cluster} runs version ${version} already`
    : `${cluster} runs version ${version}: replaced ${rolled.join(', ')}`;
