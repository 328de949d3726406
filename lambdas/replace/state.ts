/** What a replacement carries from step to step. Everything else is asked for again. */
import * as z from 'zod/mini';
import { carriedSchema } from '../recovery/state.ts';

/** What is known of the lost node: EC2 forgets a terminated instance's volumes at once, and the rest within the hour. */
const lost = z.object({
  zone: z.nullable(z.string()),
  /** The volume that holds its data; null when none survives it. */
  volume: z.nullable(z.string()),
});

export const replaceStateSchema = z.object({
  ...carriedSchema,
  mode: z.enum(['rejoin', 'replace', 'add', 'roll']),
  /** Where the workflow goes when this step is done. */
  path: z._default(z.enum(['rejoin', 'drain', 'fence', 'launch', 'on', 'finished']), 'on'),
  lost: z._default(z.nullable(lost), null),
  /** The surviving volume while it is part of the plan; null: the joiner has a fresh one. */
  volume: z._default(z.nullable(z.string()), null),
  seed: z._default(z.enum(['volume', 'peer']), 'peer'),
  /** How often seeding was begun anew. */
  reseeds: z._default(z.number(), 0),
  /** A planned replacement: the node was seen to be the writer, so clients have its address by name for a while yet. */
  ledWrites: z._default(z.boolean(), false),
  /** A planned replacement: until when (epoch ms) clients may still have the drained writer's address; null: not drained yet. */
  quietUntilMs: z._default(z.nullable(z.number()), null),
});

export type ReplaceState = z.infer<typeof replaceStateSchema>;
