/** The watch's settings from its environment, checked once at the cold start. */
import type { WatchConfig } from './ports.ts';

export interface WatchEnvironment {
  readonly PROBE_INTERVAL_MS: string;
  readonly SWEEP_SECONDS: string;
}

/** Time kept for the last probes (2 s) and what they have to write and send. */
const RESERVE_MS = 5000;
/** The schedule starts the next one after a minute. */
const ROUND_MS = 60_000;

/** @throws Error naming the variable, its value and what is accepted. */
export const watchConfig = (env: WatchEnvironment, containerId: string): WatchConfig => ({
  probeIntervalMs: whole('PROBE_INTERVAL_MS', env.PROBE_INTERVAL_MS, 100, 60_000),
  sweepSeconds: whole('SWEEP_SECONDS', env.SWEEP_SECONDS, 10, 3600),
  containerId,
});

/** For a minute, or as long as the function's timeout allows. */
export const runUntilMs = (nowMs: number, remainingMs: number): number =>
  nowMs + Math.max(0, Math.min(ROUND_MS, remainingMs - RESERVE_MS));

function whole(name: string, value: string, low: number, high: number): number {
  const n = Number(value);
  if (Number.isInteger(n) && n >= low && n <= high) return n;
  throw new Error(`${name} is ${JSON.stringify(value)}: give a whole number from ${low} to ${high}`);
}
