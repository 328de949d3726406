/** What a Galera node is suspected of. */
import type { Suspicion } from '../../model/ledger.ts';
import { probeFailure } from '../../model/suspicion.ts';
import type { Node } from '../../model/view.ts';
import type { Situation } from '../situation.ts';
import { hasAnswered } from './components.ts';

/** Null when of nothing; `leave` when it is expected to be silent for now. */
export function suspicionOf(s: Situation, node: Node): Suspicion | null | 'leave' {
  const kind = kindOf(s, node);
  return kind === null || kind === 'leave' ? kind : { sinceMs: s.view.atMs, kind };
}

function kindOf(s: Situation, node: Node): Suspicion['kind'] | null | 'leave' {
  const code = s.codeOf(node.instance.id);
  if (code === 'NODE_STOPPING') return 'stopped';
  if (code === 'NODE_STARTING') return 'leave';
  if (code === 'NODE_PARTITIONED') return 'partitioned';
  if (hasAnswered(node) && node.probe.status.component !== 'Primary') return 'partitioned';
  return code === 'NODE_TERMINATED' ? null : probeFailure(node.probe);
}
