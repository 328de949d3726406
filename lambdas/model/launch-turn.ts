/**
 * Whose launch is next: a token bucket as one number, the moment at which all of its burst is there again (epoch ms). Pure.
 * docs/decisions/0029-launches-take-turns-in-the-ledger.md
 */
export interface LaunchTurn {
  readonly nowMs: number;
  /** So many at once. */
  readonly burst: number;
  readonly perSecond: number;
  /** Who would have to wait for longer takes none. */
  readonly withinMs: number;
}

/** Nobody takes a turn that is so far ahead: the clock of somebody who did was wrong, and is not waited for. */
const FAR_MS = 60_000;

/** By so much each launch moves the moment on. */
export const everyMs = ({ perSecond }: LaunchTurn): number => 1000 / perSecond;

/** Up to that moment a turn comes soon enough. */
export const latestMs = (turn: LaunchTurn): number => turn.nowMs + turn.withinMs + (turn.burst - 1) * everyMs(turn);

/** From that moment on it is nobody's. */
export const farMs = (turn: LaunchTurn): number => latestMs(turn) + FAR_MS;

/** How long whoever has moved it to `fullAtMs` has to wait. */
export const waitMs = (turn: LaunchTurn, fullAtMs: number): number =>
  Math.max(0, Math.ceil(fullAtMs - turn.nowMs - turn.burst * everyMs(turn)));
