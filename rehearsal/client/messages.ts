/** What the rehearsal and its client process say to each other. */
import type { EngineKind } from '../../lambdas/model/spec.ts';

export interface ClientOptions {
  readonly engine: EngineKind;
  readonly writer: { readonly host: string; readonly port: number };
  readonly reader: { readonly host: string; readonly port: number };
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Pause between two writes, and between two reads. */
  readonly pauseMs: number;
  /** A connection is given back and opened anew after this long, as connection pools do (`maxLifetime`). */
  readonly maxLifetimeMs: number;
  /** Where acknowledgements are written as they come, one a line: id, when the write began, when it was acknowledged. */
  readonly journal: string;
  /** The same of the direct writers (`direct.ts`): node, sequence, began, acknowledged; null: there are none. */
  readonly directJournal: string | null;
}

/** Figures since the client started; times in milliseconds. */
export interface ClientFigures {
  readonly writesAcknowledged: number;
  /** Statements that were sent and did not come back with an answer, or came back with an error. */
  readonly writeErrors: number;
  /** Connections that could not be opened. */
  readonly connectErrors: number;
  readonly readsAnswered: number;
  readonly readErrors: number;
  /** The longest gap between two acknowledged writes. */
  readonly writeOutageMs: number;
  /** When that gap began, as epoch milliseconds. */
  readonly outageBeganAtMs: number | null;
  readonly lastAcknowledgedAtMs: number | null;
  /** Rows that nodes acknowledged to the writers that go straight to them, by instance id. */
  readonly direct: Readonly<Record<string, number>>;
  /** First few errors as the client saw them, for the report's reader. */
  readonly errors: readonly string[];
}

export interface DirectNode {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

export type ToClient =
  | { readonly kind: 'stop' }
  | { readonly kind: 'reset' }
  /** Every node that there is now: the direct writers write to each. */
  | { readonly kind: 'nodes'; readonly nodes: readonly DirectNode[] };
export type FromClient =
  | { readonly kind: 'figures'; readonly figures: ClientFigures }
  | { readonly kind: 'stopped'; readonly figures: ClientFigures };
