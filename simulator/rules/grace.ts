/** Between the last look and the act lie calls that may take seconds: what has changed only since is nobody's fault. Milliseconds. */
export const GRACE_MS = 15_000;
