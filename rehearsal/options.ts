import type { Delays } from './cloud/contract.ts';
import type { Engine } from './engines/engine.ts';
import type { Scenario } from './scenarios/scenario.ts';

/** How events reach the plane while the scenario runs. */
export const EVENTS = ['normal', 'lost', 'doubled'] as const;
export type EventsMode = (typeof EVENTS)[number];

/** How long AWS takes, unless said otherwise. */
export const DELAYS: Required<Delays> = {
  eventMs: 500,
  bootMs: 8000,
  shutdownMs: 10_000,
  powerOffMs: 5000,
  forceStopMs: 5000,
};

/** What a world is built from. */
export interface BuildOptions {
  readonly engine: Engine;
  readonly scenario: Pick<Scenario, 'breaksNetwork' | 'archive'>;
  readonly delays: Delays;
  readonly seed: number;
  /** Work folder; null: a new one, removed at the end. */
  readonly dir: string | null;
}

/** What `npm start` was asked for. */
export interface RehearsalOptions extends BuildOptions {
  readonly scenario: Scenario;
  readonly reportFile: string | null;
  /** Leave everything up at the end. */
  readonly keep: boolean;
  readonly events: EventsMode;
  /** Every step of every workflow, reconcile and watch are killed once. */
  readonly kills: boolean;
}

/** The variant in a word or two, for titles and reports. */
export const variantOf = ({ events, kills }: Pick<RehearsalOptions, 'events' | 'kills'>): string =>
  [...(events === 'normal' ? [] : [`events ${events}`]), ...(kills ? ['kills'] : [])].join(', ') || 'normal';
