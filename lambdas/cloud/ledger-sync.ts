/** What the ledger knows of the acknowledgements (`model/quorum.ts`), changed by comparing: a hand that was held up changes nothing. */
import type { SyncState } from '../model/quorum.ts';
import type { Plain } from './attribute-values.ts';
import type { Update } from './ledger-items.ts';
import { stateKey } from './ledger-items.ts';

/** Who may change it: reconcile while nobody holds the claim and the epoch stands, or the execution that holds the claim. */
export type SyncGuard = { readonly epoch: number } | { readonly execution: string };

const plain = (state: SyncState): Plain => ({
  sets: state.sets.map(({ need, standbys }) => ({ need, standbys })),
  barrierLsn: state.barrierLsn,
});

const is = (state: SyncState | null, value: string): string =>
  state === null ? 'attribute_not_exists(#sync)' : `#sync = ${value}`;

/**
 * Replaces `expected` by `next` under the guard. That it is `next` already is as good: the SDK repeats a write whose
 * answer was lost, and the repetition must not look like somebody else's.
 */
export const syncUpdate = (
  cluster: string,
  expected: SyncState | null,
  next: SyncState | null,
  guard: SyncGuard,
): Update => ({
  key: stateKey(cluster),
  set: next === null ? 'REMOVE #sync' : 'SET #sync = :next',
  condition: `${guarded(guard)} AND (${is(expected, ':expected')} OR ${is(next, ':next')})`,
  values: {
    ...(expected !== null && { ':expected': plain(expected) }),
    ...(next !== null && { ':next': plain(next) }),
    ...('epoch' in guard ? { ':epoch': guard.epoch } : { ':execution': guard.execution }),
  },
});

function guarded(guard: SyncGuard): string {
  if ('execution' in guard) return '#claim.#execution = :execution';
  const epoch = guard.epoch === 0 ? '(attribute_not_exists(#epoch) OR #epoch = :epoch)' : '#epoch = :epoch';
  return `attribute_not_exists(#claim) AND ${epoch}`;
}

/** What a person reads when the condition did not hold. */
export function syncRefusal(cluster: string, guard: SyncGuard): string {
  const guardFailed =
    'epoch' in guard
      ? `somebody holds the claim, or it is no longer at epoch ${guard.epoch}`
      : `${guard.execution} does not hold the claim`;
  return `the acknowledgements of ${cluster} are not as they were seen, or ${guardFailed}: observe again, then plan again`;
}
