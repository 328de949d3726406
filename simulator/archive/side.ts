/** What of the archive differs by engine: the shipper, the log that it reads, and the truth about it. */
import type { ShipPorts } from '../../lambdas/archive/ship/ports.ts';
import type { ShipEngine } from '../../lambdas/archive/ship/run.ts';
import type { DbCredentials, DbTarget, PostgresAdmin, Prober } from '../../lambdas/cloud/ports.ts';
import type { Actor } from '../actor.ts';
import type { BucketWitness } from './bucket.ts';

/** A base backup, as the host's script takes it: the log that it needs, and its end. Null: no node gives one. */
export interface Backup {
  readonly history: string;
  readonly node: string;
  readonly start: Readonly<Record<string, string | number>>;
  /** Looked up when it ends; null when it has failed. */
  end(): Readonly<Record<string, string | number>> | null;
}

/** A restore's target, and what must come of it by what the model knows. */
export interface Asked {
  readonly target: string;
  readonly as?: string;
  /** Null: either may be; a plan is looked at all the same. */
  readonly must: 'accept' | 'refuse' | null;
  readonly why: string;
}

export interface ArchiveSide extends BucketWitness {
  readonly prober: Pick<Prober, 'probe'>;
  readonly admin: Pick<PostgresAdmin, 'setSlots'>;
  shipper(ports: ShipPorts & { readonly prober: Prober; readonly admin: PostgresAdmin }, actor: Actor): ShipEngine;
  /** Of other bytes that are there under the same name: do they hold all that the name promises. Not given: never. */
  isAsGood?(key: string, body: Uint8Array, there: Uint8Array): boolean;
  /** Once a second. */
  tick(): void;
  backup(): Backup | null;
  /** The base backup of that manifest is in the bucket. */
  backedUp(manifestKey: string, endedMs: number): void;
  /** Something to ask the planner for. */
  ask(): Asked | null;
  /** A plan was made for it: what is wrong with it in a sentence; null when nothing is. */
  judge(asked: Asked, plan: { readonly end: string }): string | null;
  /** Acknowledged writes that should be in S3 by now and are not; null when all are, or there is nobody to ask. */
  behind(): string | null;
}

export type Opened<T> = (target: DbTarget, credentials: DbCredentials) => Promise<T>;
