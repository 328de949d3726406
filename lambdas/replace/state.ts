/** What a replacement carries from step to step. Everything else is asked for again. */
import * as z from 'zod/mini';
import { jobSchema } from '../recovery/job.ts';
import { carriedSchema } from '../recovery/state.ts';

/** What is known of the lost node: EC2 forgets a terminated instance's volumes at once, and the rest within the hour. */
const lost = z.object({
  zone: z.nullable(z.string()),
  /** The volume that holds its data; null when none survives it. */
  volume: z.nullable(z.string()),
});

/** A joiner's data from the archive, once its data directory is ready for them. */
const archive = z.object({
  /** Since when the plan is being made (epoch ms). */
  sinceMs: z.number(),
  plan: z.nullable(
    z.object({
      /** Of the object that the host reads. */
      key: z.string(),
      /** The system identifier that the data must have. */
      history: z.string(),
      /** In words, for the record. */
      says: z.string(),
      /** Until when (epoch ms) it may take. */
      untilMs: z.number(),
    }),
  ),
});

export const replaceStateSchema = z.object({
  ...carriedSchema,
  mode: z.enum(['rejoin', 'replace', 'add', 'roll', 'retire']),
  /** Where the workflow goes when this step is done. */
  path: z._default(z.enum(['rejoin', 'drain', 'fence', 'launch', 'retire', 'on', 'finished']), 'on'),
  lost: z._default(z.nullable(lost), null),
  /** The surviving volume while it is part of the plan; null: the joiner has a fresh one. */
  volume: z._default(z.nullable(z.string()), null),
  /** Where the joiner's data come from, in the order in which they are tried. */
  seed: z._default(z.enum(['volume', 'archive', 'peer']), 'peer'),
  archive: z._default(z.nullable(archive), null),
  ...jobSchema,
  /** How often seeding was begun anew. */
  reseeds: z._default(z.number(), 0),
  /** A planned replacement: the node was seen to be the writer, so clients have its address by name for a while yet. */
  ledWrites: z._default(z.boolean(), false),
  /** A planned replacement: until when (epoch ms) clients may still have the drained writer's address; null: not drained yet. */
  quietUntilMs: z._default(z.nullable(z.number()), null),
});

export type ReplaceState = z.infer<typeof replaceStateSchema>;
