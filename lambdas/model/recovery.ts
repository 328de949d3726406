/** What crosses between reconcile, the workflows' definitions (lib/workflows) and their steps. */
import type { RecoveryMode } from './ledger.ts';

/** Input of both state machines. Started by reconcile, or by a person from the console. */
export interface RecoveryInput {
  readonly cluster: string;
  readonly incident: string;
  readonly mode: RecoveryMode;
  readonly node: string | null;
  readonly reason: string;
  /** Bootstrap only: nodes whose silence the person accepts. */
  readonly giveUp?: readonly string[];
  /** Switchover only: the instance that is to be the primary; the most advanced replica unless given. */
  readonly to?: string;
  /** Failover only: a node that a person has accepted though it is behind. */
  readonly accept?: string;
}

/** Error names that definitions retry or catch, and that a runbook reader searches for. */
export const RECOVERY_ERRORS = [
  'ClaimLost',
  'FenceFailed',
  'LaunchFailed',
  'NodeNotReachable',
  'SeedFailed',
  'JoinFailed',
  'NotCaughtUp',
  'NotRouted',
  'QuorumAtRisk',
  'NoDonor',
  'BrakeEngaged',
  'PositionsDisagree',
  'NodeDidNotAnswer',
  'PrimaryComponentExists',
  'BootstrapFailed',
  'NoCandidate', // nobody may be promoted: too far behind, or it cannot be proven that nothing is missing
  'PromotionFailed',
  'SwitchoverRefused',
  'RollingStopped', // a node's own workflow ended badly: the rest is left as it is
  'BackupRefused', // not begun: no node to take it from, or another is at work
  'BackupFailed',
  'RestoreRefused', // safety rule 11: the sentence says what would be accepted
  'RestoreFailed',
  'DrillFailed',
] as const;

export type RecoveryErrorName = (typeof RECOVERY_ERRORS)[number];

/** An error whose `name` Step Functions matches in Retry and Catch. */
export class RecoveryError extends Error {
  override readonly name: RecoveryErrorName;
  constructor(name: RecoveryErrorName, message: string) {
    super(message);
    this.name = name;
  }
}
