/** What has become of the node that the ledger calls the writer: the one question that everything else here turns on. Pure. */
import type { DiagnosisCode } from '../../model/diagnosis.ts';
import type { RecoveryMode } from '../../model/ledger.ts';
import { nodeOf } from '../situation.ts';
import type { Situation } from '../situation.ts';
import { servingPrimary } from './status.ts';
import type { AnsweredNode } from './status.ts';

export type Primary =
  /** The ledger names none. */
  | { readonly kind: 'unset' }
  | { readonly kind: 'serves'; readonly node: AnsweredNode }
  /** A workflow is deciding who it will be. */
  | { readonly kind: 'claimed'; readonly writer: string; readonly execution: string }
  /** It cannot take writes: failover. */
  | { readonly kind: 'lost'; readonly writer: string; readonly code: DiagnosisCode; readonly why: string }
  /** Nothing is known well enough. */
  | { readonly kind: 'unclear'; readonly writer: string; readonly code: DiagnosisCode | null };

const LOST: readonly DiagnosisCode[] = [
  'NODE_TERMINATED',
  'NODE_STOPPING',
  'NODE_CRASHED',
  'NODE_UNRESPONSIVE',
  'PRIMARY_MISSING',
];

/** Workflows that choose the primary. */
const CHOOSING: readonly RecoveryMode[] = ['failover', 'switchover'];

export function primaryOf(s: Situation): Primary {
  const { writer } = s.view.ledger;
  if (writer === null) return { kind: 'unset' };
  const node = servingPrimary(s.view);
  if (node !== null) return { kind: 'serves', node };
  if (s.claim !== null && CHOOSING.includes(s.claim.mode)) {
    return { kind: 'claimed', writer, execution: s.claim.execution };
  }
  if (nodeOf(s, writer) === undefined) {
    const why = `EC2 knows no instance ${writer} of the cluster`;
    return { kind: 'lost', writer, code: 'NODE_TERMINATED', why };
  }
  const code = s.codeOf(writer);
  if (code === null || !LOST.includes(code)) return { kind: 'unclear', writer, code };
  return { kind: 'lost', writer, code, why: `${code}: ${s.evidenceOf(writer).join('; ')}` };
}
