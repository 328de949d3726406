/**
 * The clocks of nodes in trouble. The watch starts most of them; reconcile starts what it sees first (the watch may have
 * been away) and stops what has passed, for a stale suspicion would make one failed probe look like the second.
 */
import type { Change } from '../model/change.ts';
import { MISSING } from '../model/ledger.ts';
import type { Suspicion } from '../model/ledger.ts';
import { isProbeSuspicion } from '../model/suspicion.ts';
import type { Node } from '../model/view.ts';
import { isPlaceUnexplained } from './cases.ts';
import { nodeOf } from './situation.ts';
import type { Situation } from './situation.ts';

export function suspicionChanges(s: Situation): readonly Change[] {
  const { suspicions } = s.view.ledger;
  const forgotten = Object.keys(suspicions).filter((id) => id !== MISSING && nodeOf(s, id) === undefined);
  return [
    ...missing(s, suspicions[MISSING]),
    ...s.view.nodes.flatMap((n) => change(s, n, suspicions[n.instance.id])),
    ...forgotten.map((id): Change => clear(id, 'EC2 knows no such instance of the cluster')),
  ];
}

function change(s: Situation, node: Node, noted: Suspicion | undefined): readonly Change[] {
  const { id } = node.instance;
  const due = s.engine.suspicionOf(s, node);
  if (due === 'leave') return [];
  if (due === null) return noted === undefined ? [] : [clear(id, `${id} is not in doubt any more`)];
  // Refused, silent and unreachable are one trouble with one clock.
  const sameTrouble =
    (noted !== undefined && isProbeSuspicion(noted) && isProbeSuspicion(due)) || noted?.kind === due.kind;
  if (sameTrouble) return [];
  return [{ kind: 'NoteSuspicion', node: id, suspicion: due, reason: `${id}: ${due.kind} from now on` }];
}

/** The clock of a place that no instance explains. */
function missing(s: Situation, noted: Suspicion | undefined): readonly Change[] {
  const is = isPlaceUnexplained(s);
  if (is === (noted !== undefined)) return [];
  if (!is) return [clear(MISSING, 'no place is missing that is not explained')];
  const suspicion: Suspicion = { sinceMs: s.view.atMs, kind: 'missing' };
  return [{ kind: 'NoteSuspicion', node: MISSING, suspicion, reason: 'a place is missing, and nobody has left it' }];
}

const clear = (node: string, reason: string): Change => ({ kind: 'NoteSuspicion', node, suspicion: null, reason });
