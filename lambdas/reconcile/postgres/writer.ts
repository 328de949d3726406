/**
 * Which PostgreSQL node writes are routed to: the ledger's writer, and nobody else. Only a workflow promotes, and only a
 * workflow changes the ledger's writer (safety rules 2 and 3); reconcile writes it down when the ledger has none.
 */
import type { Refusal } from '../../model/change.ts';
import type { WriterDecision } from '../engine.ts';
import type { Situation } from '../situation.ts';
import { primaryOf } from './primary.ts';
import { isPrimary } from './status.ts';

export function decideWriter(s: Situation): WriterDecision {
  const primary = primaryOf(s);
  switch (primary.kind) {
    case 'serves':
      return { kind: 'keep', node: primary.node.instance.id };
    case 'unclear':
      return { kind: 'keep', node: primary.writer };
    case 'claimed':
      return { kind: 'wait', reason: `${primary.execution} decides who the primary is` };
    case 'lost':
      return { kind: 'wait', reason: primary.why };
    case 'unset':
      return firstWriter(s);
  }
}

/** A cluster that Rejoin takes over: its primary, if there is exactly one. */
function firstWriter(s: Situation): WriterDecision {
  const primaries = s.view.nodes.filter(isPrimary).filter((n) => s.codeOf(n.instance.id) !== 'NODE_FOREIGN_DATA');
  const [only, ...others] = primaries.map((n) => n.instance.id);
  const nobody = (why: string): WriterDecision => {
    const reason = `the ledger names no writer, and ${why}`;
    const refusal: Refusal = { code: 'REFUSED_NO_CANDIDATE', reason };
    return { kind: 'wait', reason, refusal };
  };
  if (only === undefined) return nobody('no node answers as a primary: promote one, or start one as a primary');
  if (others.length > 0) {
    return nobody(`${[only, ...others].join(', ')} each say that they are the primary: stop all but the right one`);
  }
  if (s.claim !== null) return { kind: 'wait', reason: `${s.claim.execution} is at work` };
  return { kind: 'move', from: null, to: only, reason: `the ledger names no writer, and ${only} is the only primary` };
}

/** Null when it can take writes, when that is unclear or in a workflow's hands, or when the ledger names none. */
export function writerTrouble(s: Situation): string | null {
  const primary = primaryOf(s);
  return primary.kind === 'lost' ? `writer ${primary.writer} cannot take writes (${primary.why})` : null;
}
