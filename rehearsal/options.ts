import type { Delays } from './cloud/contract.ts';
import type { Engine } from './engines/engine.ts';
import type { Scenario } from './scenarios/scenario.ts';

/** How events reach the plane while the scenario runs. */
export const EVENTS = ['normal', 'lost', 'doubled'] as const;
export type EventsMode = (typeof EVENTS)[number];

/** What `npm start` was asked for. */
export interface RehearsalOptions {
  readonly scenario: Scenario;
  readonly engine: Engine;
  readonly reportFile: string | null;
  /** Leave everything up at the end. */
  readonly keep: boolean;
  readonly delays: Delays;
  readonly events: EventsMode;
  /** Every step of every workflow, reconcile and watch are killed once. */
  readonly kills: boolean;
  readonly seed: number;
  /** Work folder; null: a new one, removed at the end. */
  readonly dir: string | null;
}

/** The variant in a word or two, for titles and reports. */
export const variantOf = ({ events, kills }: Pick<RehearsalOptions, 'events' | 'kills'>): string =>
  [...(events === 'normal' ? [] : [`events ${events}`]), ...(kills ? ['kills'] : [])].join(', ') || 'normal';
