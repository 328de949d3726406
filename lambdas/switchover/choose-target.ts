/** To whom the writes may go by plan: pure. */
import type { ClusterLedger } from '../model/ledger.ts';
import { compareLsn, lagBytes } from '../model/lsn.ts';
import type { PostgresStatus } from '../model/postgres.ts';
import type { PostgresEngine } from '../model/spec.ts';

export interface TargetView {
  readonly cluster: string;
  /** The primary, and what it says now. */
  readonly primary: string;
  readonly status: PostgresStatus;
  /** The other live instances of the cluster, and those of them that answered as standbys just now. */
  readonly others: readonly string[];
  readonly standbys: readonly string[];
  /** Acknowledgements declared: so many replicas must be left for the new primary. */
  readonly need: number;
  readonly engine: Pick<PostgresEngine, 'durability' | 'maxLagBytes'>;
  readonly ledger: Pick<ClusterLedger, 'sync'>;
  /** Asked for; null: the most advanced. */
  readonly to: string | null;
}

export type Target =
  | { readonly kind: 'target'; readonly node: string; readonly why: string }
  | { readonly kind: 'refused'; readonly why: string };

/**
 * A replica that streams from the primary, answers us, lags by at most maxLagBytes, and with quorum is one of those whose
 * acknowledgements count. Of several the one that has flushed most, then the lower id. Refused when too few such replicas would
 * be left for the declared acknowledgements: nothing that is planned makes commits less safe (safety rule 6).
 */
export function chooseTarget(view: TargetView): Target {
  const { to, status, primary, cluster, need } = view;
  const objections = new Map(view.others.map((id) => [id, objection(view, id)] as const));
  const ready = [...objections].filter(([, why]) => why === null).map(([id]) => id);
  const all = [...objections].map(([id, why]) => `${id}: ${why ?? 'ready'}`).join('; ') || 'there is none';
  const asked =
    to === null ? null : objections.has(to) ? (objections.get(to) ?? null) : `it is no replica of ${cluster}`;
  if (asked !== null) {
    const mend = ready.length === 0 ? 'one that is ready, and none is' : `one of ${ready.join(', ')}`;
    return { kind: 'refused', why: `${to ?? ''} cannot take the writes: ${asked}; expected ${mend}` };
  }
  const node = to ?? mostAdvanced(ready, status);
  if (node === undefined) {
    const why = `no replica of ${primary} can take the writes (${all}); expected one that streams and is near`;
    return { kind: 'refused', why };
  }
  if (ready.length - 1 < need) {
    const left = `${ready.length - 1} replicas would be left to acknowledge what ${node} writes`;
    return { kind: 'refused', why: `${left} (${all}); expected ${need} that stream: wait until the others are back` };
  }
  return { kind: 'target', node, why: to === null ? goodFor(status, node) : `asked for, and ${goodFor(status, node)}` };
}

const mostAdvanced = (ready: readonly string[], status: PostgresStatus): string | undefined =>
  ready.toSorted((a, b) => compareLsn(flushed(status, b), flushed(status, a)) || (a < b ? -1 : 1))[0];

const attached = (status: PostgresStatus, id: string) => status.standbys.find((s) => s.node === id);

const flushed = (status: PostgresStatus, id: string): string => attached(status, id)?.flushLsn ?? '0/0';

const goodFor = (status: PostgresStatus, id: string): string =>
  `it streams and lags by ${lagBytes(status.lsn, flushed(status, id))} bytes`;

function objection({ standbys, status, engine, ledger }: TargetView, id: string): string | null {
  if (!standbys.includes(id)) return 'it does not answer us as a standby';
  const stream = attached(status, id);
  if (stream?.state !== 'streaming') return `it does not stream from the primary (${stream?.state ?? 'no connection'})`;
  const inQuorum = ledger.sync?.sets.at(-1)?.standbys.includes(id) === true;
  if (engine.durability === 'quorum' && !inQuorum) return 'it is not in the quorum, and may lack acknowledged writes';
  const lag = lagBytes(status.lsn, flushed(status, id));
  return lag <= engine.maxLagBytes ? null : `it lags by ${lag} bytes, at most ${engine.maxLagBytes} are allowed`;
}
