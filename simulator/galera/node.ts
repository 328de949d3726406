import type { GaleraState } from '../../lambdas/model/galera.ts';
import type { Data } from './history.ts';

/** A membership view: who believes to be together, and whether it has quorum. */
export interface Component {
  readonly id: number;
  readonly members: Set<string>;
  primary: boolean;
  viewId: number;
  data: Data;
  /** Members of the last primary view, and which view that was. */
  lastPrimary: { readonly viewId: number; readonly members: ReadonlySet<string> };
  /** Since when a member does not answer the others. */
  troubleSinceMs: number | null;
}

/** One database server. */
export interface GaleraNode {
  readonly id: string;
  process: 'none' | 'up' | 'hung';
  component: Component | null;
  state: GaleraState;
  /** A state transfer under way: during SST the server does not listen. */
  transfer: { readonly kind: 'sst' | 'ist'; readonly donor: string; readonly endsAtMs: number } | null;
  /** Started as a joiner, not yet a member. */
  joining: boolean;
  /** How often the process was started. */
  starts: number;
}
