/** What a failover carries from step to step: the replacement's fields too, so that its Launch, Attach and Seed can be used. */
import * as z from 'zod/mini';
import { replaceStateSchema } from '../replace/state.ts';

/** What a standby said of itself after it had been cut off: this cannot grow any more. */
const told = z.object({ timeline: z.number(), lsn: z.string(), systemId: z.string() });

const byNode = <T extends z.core.SomeType>(schema: T) => z._default(z.record(z.string(), schema), {});

export const failoverStateSchema = z.object({
  ...replaceStateSchema.shape,
  mode: z._default(z.literal('failover'), 'failover'),
  /** The lost primary: from Claim on the ledger's writer. */
  node: z._default(z.nullable(z.string()), null),
  reason: z._default(z.string(), 'a person started it'),
  /** Where the workflow goes when this step is done. */
  path: z._default(z.enum(['on', 'finished', 'back', 'promote', 'revive', 'choose']), 'on'),
  /** A node that a person has accepted though it is, or may be, behind. */
  accept: z._default(z.nullable(z.string()), null),
  /** In this round, by instance id. */
  told: byNode(told),
  /** Of candidates that were given up: what they had when they were cut off from the primary before. */
  remembered: byNode(told),
  /** How it was proven that the old primary acknowledges nothing; null until then. */
  fenced: z._default(z.nullable(z.string()), null),
  candidate: z._default(z.nullable(z.string()), null),
  /** Since when somebody could be promoted with a loss, and others that run have not told what they have (epoch ms). */
  unheardSinceMs: z._default(z.nullable(z.number()), null),
  /** Primaries that this execution found lost, the one that it began with first. */
  passed: z._default(z.array(z.string()), []),
  /** How often another candidate had to be looked for. */
  rounds: z._default(z.number(), 0),
  /** Databases started as standbys: instance id to the command's id, or to how it failed. */
  starts: byNode(z.object({ command: z.nullable(z.string()), failed: z.nullable(z.string()) })),
  /** Since when databases have been starting (epoch ms). */
  startsSinceMs: z._default(z.nullable(z.number()), null),
  /** The instance that has the lost primary's volume. */
  revived: z._default(z.nullable(z.string()), null),
  /** Timeline of the lost primary when it was last seen; null: unknown. And who that was. */
  lastSeen: z._default(z.nullable(z.object({ node: z.string(), timeline: z.number() })), null),
});

export type FailoverState = z.infer<typeof failoverStateSchema>;
export type Told = z.infer<typeof told>;
