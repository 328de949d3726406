/** What a switchover carries from step to step. */
import * as z from 'zod/mini';
import { carriedSchema } from '../recovery/state.ts';

const told = z.object({ timeline: z.number(), lsn: z.string(), systemId: z.string() });

export const switchoverStateSchema = z.object({
  ...carriedSchema,
  mode: z._default(z.literal('switchover'), 'switchover'),
  /** The primary that is to be one no more; the ledger's writer unless given. */
  node: z._default(
    z.nullable(
      z
        .string()
        .check(z.regex(/^i-[0-9a-f]{8,17}$/, 'give the id of the primary, i-0123456789abcdef0, or leave it out')),
    ),
    null,
  ),
  /** Who is to be the primary; the most advanced replica unless given. */
  to: z._default(
    z.nullable(
      z.string().check(z.regex(/^i-[0-9a-f]{8,17}$/, 'give the id of a replica, i-0123456789abcdef0, or leave it out')),
    ),
    null,
  ),
  reason: z._default(z.string(), 'a person started it'),
  path: z._default(z.enum(['on', 'finished']), 'on'),
  candidate: z._default(z.nullable(z.string()), null),
  /** Where the old primary's shutdown checkpoint begins; null until it has ended. */
  stopped: z._default(z.nullable(z.object({ timeline: z.number(), lsn: z.string() })), null),
  told: z._default(z.record(z.string(), told), {}),
});

export type SwitchoverState = z.infer<typeof switchoverStateSchema>;
