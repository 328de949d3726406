/** What every workflow carries from step to step: the input, and what the running step waits for. */
import * as z from 'zod/mini';

const nullable = <T extends z.core.SomeType>(schema: T) => z._default(z.nullable(schema), null);

/** A script that was started on a host and not yet seen to end. */
const command = z.object({ id: z.string(), instance: z.string(), document: z.string() });

/** The step that has not finished, since when (epoch ms), and how often it has asked. */
const waiting = z.object({ step: z.string(), sinceMs: z.number(), asked: z.number() });

export const carriedSchema = {
  cluster: z.string().check(z.minLength(1, 'give the cluster, such as "orders"')),
  incident: z.string().check(z.minLength(1, 'give an incident id, such as "manual-1"')),
  node: z.nullable(z.string()),
  reason: z.string(),
  ready: z._default(z.boolean(), true),
  waitSeconds: z._default(z.number(), 1),
  waiting: nullable(waiting),
  command: nullable(command),
  joiner: nullable(z.string()),
  donor: nullable(z.string()),
  /** What the joiner last said of itself; a change goes on the record. */
  progress: nullable(z.string()),
  /** Since when the joiner refuses connections (epoch ms). */
  refusedSinceMs: nullable(z.number()),
  /** Since when the joiner runs without getting on (epoch ms), and where it stands. */
  standstill: nullable(z.object({ sinceMs: z.number(), at: z.string() })),
  /** How it ended, in a sentence, once it has. */
  outcome: nullable(z.string()),
  /** Left by Catch. */
  error: z.optional(z.nullable(z.object({ Error: z.string(), Cause: z.string() }))),
};

export type Carried = z.infer<z.ZodMiniObject<typeof carriedSchema>>;
export type Command = z.infer<typeof command>;

/**
 * Reads a workflow's state.
 * @throws Error naming the property, the value received and the mend (an execution started by hand with wrong input).
 */
export function parseState<T extends z.ZodMiniType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((i) => `${i.path.join('.') || 'the state'}: ${i.message}`).join('; ');
  throw new Error(
    `the execution's state is ${JSON.stringify(value)}: ${problems}; start it with ` +
      '{"cluster":"orders","incident":"manual-1","mode":"replace","node":"i-…","reason":"…"}',
  );
}
