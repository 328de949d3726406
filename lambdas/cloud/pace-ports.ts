/** Turns at what AWS answers, as the capabilities see them (`pace.ts` keeps them). */

/**
 * What is asked of AWS and counted there. `describe`: every Describe of Elastic Load Balancing. `register`: RegisterTargets and DeregisterTargets
 * together. Both count among all calls of Elastic Load Balancing, too. `instances`: DescribeInstances. `dns`: ListResourceRecordSets and
 * ChangeResourceRecordSets together. `specs`: GetParameter. `executions`: DescribeExecution. Launches: `Ledger.takeLaunch`.
 */
export type Turn = 'describe' | 'register' | 'instances' | 'dns' | 'specs' | 'executions';

/** What this function may ask of AWS in a second: its share of what the account has. */
export interface Pace {
  /**
   * Comes back when so many calls may be made.
   * @throws CloudUnavailable at once, and nothing is taken, when that would be too late.
   */
  turn(kind: Turn, count?: number): Promise<void>;
  /** Takes a turn if there is one now. */
  may(kind: Turn): boolean;
  /** Less than half of a burst is left of what reconciles describe and register, or was within this time: that is for those who cannot wait. */
  isShort(withinMs: number): boolean;
}
