/** What a rolling replacement carries from step to step. */
import * as z from 'zod/mini';
import { carriedSchema } from '../recovery/state.ts';

const child = z.object({
  mode: z.enum(['roll', 'switchover']),
  /** The node to be replaced, or the primary that is to be one no more. */
  node: z.string(),
  /** Execution ARN; null until it was started. */
  execution: z._default(z.nullable(z.string()), null),
});

export const rollingStateSchema = z.object({
  ...carriedSchema,
  mode: z.literal('rolling'),
  /** What the launch template must mean now, when the person says so: a number as text. */
  version: z._default(z.nullable(z.union([z.string(), z.number()])), null),
  path: z._default(z.enum(['child', 'done']), 'child'),
  child: z._default(z.nullable(child), null),
  /** Nodes whose workflow has ended well. */
  rolled: z._default(z.array(z.string()), []),
  /** Primaries that were moved away from. */
  switched: z._default(z.array(z.string()), []),
});

export type RollingState = z.infer<typeof rollingStateSchema>;
export type Child = z.infer<typeof child>;
