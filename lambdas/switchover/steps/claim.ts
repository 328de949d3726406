/** Takes the cluster's claim and looks whether the writes can be moved now. */
import { postgresOf } from '../../failover/steps/claim.ts';
import type { ClusterLedger } from '../../model/ledger.ts';
import { declaredNeed } from '../../model/quorum.ts';
import { RecoveryError } from '../../model/recovery.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import type { Node } from '../../model/view.ts';
import { takeClaim } from '../../recovery/claim.ts';
import { inWords, liveNodes } from '../../recovery/nodes.ts';
import { postgresStatusOf } from '../../recovery/status.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { chooseTarget } from '../choose-target.ts';
import type { Target } from '../choose-target.ts';
import type { SwitchoverState } from '../state.ts';

/** @throws RecoveryError SwitchoverRefused, before anything was touched. */
export const claim: Step<SwitchoverState> = async (state, context) => {
  const spec = await loadSpec(context);
  if (spec.engine.kind !== 'postgres') {
    throw refused(
      `the engine of ${spec.name} is ${spec.engine.kind}; expected postgres (with Galera every node takes writes: drain the writer)`,
    );
  }
  const before = (await context.ports.ledger.read(spec.name)).cluster;
  if (before.writer === null) throw refused(`the ledger names no writer of ${spec.name}; expected one that serves`);
  const done = nothingToDo(state, before.writer);
  if (done !== null) return { path: 'finished', outcome: done };
  const node = before.writer;
  const ledger = await take({ ...state, node }, context);
  if (ledger.writer !== node)
    throw refused(
      `the writer of ${spec.name} has just become ${ledger.writer ?? 'nobody'}; expected ${node}: start again`,
    );
  if (ledger.maintenance !== null) {
    throw refused(
      `${ledger.maintenance.node} is in maintenance by ${ledger.maintenance.by}; expected none: end it with {"action":"maintenance-off"} first`,
    );
  }
  const target = targetAmong(await liveNodes(context, spec), spec, ledger, state.to);
  if (target.kind === 'refused') throw refused(target.why);
  await record(context, 'target', `moves the writes from ${node} to ${target.node}`, target.why);
  return { path: 'on', node, candidate: target.node };
};

export const refused = (why: string): RecoveryError => new RecoveryError('SwitchoverRefused', why);

/** Who asked for it got it already: a doubled start moves nothing back. */
function nothingToDo({ to, node }: SwitchoverState, writer: string): string | null {
  if (to === writer) return `nothing to do: ${writer} is the primary`;
  if (to === null && node !== null && node !== writer) return `nothing to do: ${node} is not the primary, ${writer} is`;
  return null;
}

/** A person who is refused is told why; the claim of somebody else is no reason to be silent. */
async function take(state: SwitchoverState, context: StepContext): Promise<ClusterLedger> {
  try {
    return await takeClaim(state, 'switchover', context);
  } catch (error) {
    if (error instanceof RecoveryError) throw refused(error.message);
    throw error;
  }
}

/** By what the primary and the replicas say now. @throws RecoveryError SwitchoverRefused when the primary does not answer as one. */
export function targetAmong(
  nodes: readonly Node[],
  spec: ClusterSpec,
  ledger: ClusterLedger,
  to: string | null,
): Target {
  const primary = nodes.find((n) => n.instance.id === ledger.writer);
  const status = primary === undefined ? null : postgresStatusOf(primary);
  if (primary === undefined || status === null || status.inRecovery) {
    const found = primary === undefined ? `${ledger.writer ?? 'nobody'} is not there` : inWords(primary);
    throw refused(
      `the primary of ${spec.name} does not serve (${found}); expected one that answers: a lost primary is failed over`,
    );
  }
  const others = nodes
    .map((n) => n.instance.id)
    .filter((id) => id !== primary.instance.id)
    .sort();
  const standbys = nodes.filter((n) => postgresStatusOf(n)?.inRecovery === true).map((n) => n.instance.id);
  const engine = postgresOf(spec);
  const need = engine.durability === 'quorum' ? declaredNeed(spec.nodes, engine.acknowledgements) : 0;
  return chooseTarget({
    cluster: spec.name,
    primary: primary.instance.id,
    status,
    others,
    standbys,
    need,
    engine,
    ledger,
    to,
  });
}
