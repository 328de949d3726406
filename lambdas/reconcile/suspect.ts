/**
 * The clocks of nodes in trouble. The watch starts most of them; reconcile starts what it sees first (the watch may have
 * been away) and stops what has passed, for a stale suspicion would make one failed probe look like the second.
 */
import type { Change } from '../model/change.ts';
import type { Suspicion } from '../model/ledger.ts';
import { isProbeSuspicion, probeFailure } from '../model/suspicion.ts';
import type { Node } from '../model/view.ts';
import { hasAnswered } from './components.ts';
import { nodeOf } from './situation.ts';
import type { Situation } from './situation.ts';

export function suspicionChanges(s: Situation): readonly Change[] {
  const { suspicions } = s.view.ledger;
  const forgotten = Object.keys(suspicions).filter((id) => nodeOf(s, id) === undefined);
  return [
    ...s.view.nodes.flatMap((n) => change(s, n, suspicions[n.instance.id])),
    ...forgotten.map((id): Change => clear(id, 'EC2 knows no such instance of the cluster')),
  ];
}

function change(s: Situation, node: Node, noted: Suspicion | undefined): readonly Change[] {
  const { id } = node.instance;
  const due = suspicionOf(s, node);
  if (due === 'leave') return [];
  if (due === null) return noted === undefined ? [] : [clear(id, `${id} is not in doubt any more`)];
  // Refused, silent and unreachable are one trouble with one clock.
  const onClock = noted !== undefined && (noted.kind === due || (isProbeSuspicion(noted) && FAILED.includes(due)));
  if (onClock) return [];
  const suspicion: Suspicion = { sinceMs: s.view.atMs, kind: due };
  return [{ kind: 'NoteSuspicion', node: id, suspicion, reason: `${id}: ${due} from now on` }];
}

const FAILED: readonly Suspicion['kind'][] = ['refused', 'silent', 'unreachable'];

const clear = (node: string, reason: string): Change => ({ kind: 'NoteSuspicion', node, suspicion: null, reason });

/** What the node is suspected of; null when of nothing; `leave` when it is expected to be silent for now. */
function suspicionOf(s: Situation, node: Node): Suspicion['kind'] | null | 'leave' {
  const code = s.codeOf(node.instance.id);
  if (code === 'NODE_STOPPING') return 'stopped';
  if (code === 'NODE_STARTING') return 'leave';
  if (code === 'NODE_PARTITIONED') return 'partitioned';
  if (hasAnswered(node) && node.probe.status.component !== 'Primary') return 'partitioned';
  return code === 'NODE_TERMINATED' ? null : probeFailure(node.probe);
}
