import type { Delays } from './cloud/contract.ts';
import type { Scenario } from './scenarios/scenario.ts';

/** What `npm start` was asked for. */
export interface RehearsalOptions {
  readonly scenario: Scenario;
  readonly reportFile: string | null;
  /** Leave everything up at the end. */
  readonly keep: boolean;
  readonly delays: Delays;
  readonly seed: number;
  /** Work folder; null: a new one, removed at the end. */
  readonly dir: string | null;
}
