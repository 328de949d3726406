/** What a bootstrap carries from step to step. */
import * as z from 'zod/mini';
import { carriedSchema } from '../recovery/state.ts';

const position = z.object({
  node: z.string(),
  stateUuid: z.string(),
  seqno: z.number(),
  safeToBootstrap: z.boolean(),
  viewId: z.nullable(z.string()),
  /** According to the host itself: `Primary` when its server runs in a primary component. */
  component: z.string(),
});
export type Position = z.infer<typeof position>;

export const bootstrapStateSchema = z.object({
  ...carriedSchema,
  mode: z.literal('bootstrap'),
  /** Nodes whose silence a person accepts. */
  giveUp: z._default(z.array(z.string()), []),
  path: z._default(z.enum(['on', 'join', 'route']), 'on'),
  /** Command ids of the position script by node. */
  asking: z._default(z.record(z.string(), z.string()), {}),
  positions: z._default(z.array(position), []),
  /** Instances that EC2 was shutting down at any look: gone soon, and their disks may hold newer writes than any other's. */
  leaving: z._default(z.array(z.string()), []),
  chosen: z._default(z.nullable(position), null),
  /** Nodes still to be joined, in order. */
  remaining: z._default(z.array(z.string()), []),
  joined: z._default(z.array(z.string()), []),
  notJoined: z._default(z.array(z.string()), []),
});
export type BootstrapState = z.infer<typeof bootstrapStateSchema>;

const answer = z.object({
  stateUuid: z.string(),
  seqno: z.number(),
  safeToBootstrap: z.boolean(),
  viewId: z.nullable(z.string()),
  component: z._default(z.string(), 'none'),
});

/**
 * The last line that `galera-position` printed.
 * @throws Error naming what was printed.
 */
export function parsePosition(node: string, output: string): Position {
  const line = output.trim().split('\n').at(-1) ?? '';
  const parsed = line.startsWith('{') ? answer.safeParse(JSON.parse(line)) : null;
  if (parsed?.success !== true) {
    throw new Error(
      `galera-position on ${node} printed ${JSON.stringify(line)}, expected one JSON object with stateUuid and seqno`,
    );
  }
  return { node, ...parsed.data };
}
