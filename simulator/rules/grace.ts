/** Between the last look and the act lie calls that may take seconds: what has changed only since is nobody's fault. Milliseconds. */
export const GRACE_MS = 15_000;

/**
 * For so long after its look one invocation of reconcile may act, by its timeout (`lib/capabilities/reconcile.ts`): refused calls are tried again, turns
 * are waited for. Milliseconds.
 */
export const LOOK_MS = 20_000;
