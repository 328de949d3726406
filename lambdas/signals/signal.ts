/** What arrives from EventBridge, and what we take it to mean. A signal is a hint of where to look, and nothing more. */
import * as z from 'zod/mini';

/** EventBridge's envelope. https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html */
export const envelopeSchema = z.object({
  /** Always "0" so far; AWS's documentation leaves it out of some samples. */
  version: z._default(z.string(), '0'),
  id: z.string().check(z.minLength(1, 'an event has an id')),
  source: z.string(),
  'detail-type': z.string(),
  detail: z.unknown(),
});

export type Envelope = z.infer<typeof envelopeSchema>;

/** `summary` is for people: what the event says, in a few words. */
export type Signal =
  | {
      readonly about: 'instances';
      readonly eventId: string;
      readonly instanceIds: readonly string[];
      readonly summary: string;
      readonly isLaunch?: true;
    }
  | {
      readonly about: 'clusters';
      readonly eventId: string;
      readonly clusters: readonly string[];
      readonly summary: string;
      readonly isDue?: true;
    };

/** What a detail tells: which instances or which clusters. Nothing of either is possible (an alarm on something else). */
export type Meaning =
  | {
      readonly about: 'instances';
      readonly instanceIds: readonly string[];
      readonly summary: string;
      /** They may be new: EC2 may not show their tags yet. */
      readonly isLaunch?: true;
    }
  | {
      readonly about: 'clusters';
      readonly clusters: readonly string[];
      readonly summary: string;
      /** It was sent ahead of its time, to arrive when the time has come. */
      readonly isDue?: true;
    };

/** One kind of event: how to recognise it and how to read its detail. */
export interface Kind {
  readonly source: string;
  readonly detailTypes: readonly string[];
  readonly version: string;
  /** @throws Error when the detail is not as AWS documents it. */
  read(detail: unknown): Meaning;
}

/** A kind whose detail is checked against a schema and then given its meaning. */
export function kindOf<T>(
  names: { readonly source: string; readonly detailTypes: readonly string[]; readonly version?: string },
  schema: z.ZodMiniType<T>,
  meaning: (detail: T) => Meaning,
): Kind {
  return {
    source: names.source,
    detailTypes: names.detailTypes,
    version: names.version ?? '0',
    read: (detail) => meaning(checked(schema, detail)),
  };
}

/** The value, if it fits. @throws Error naming each property that is wrong and what was expected. */
export function checked<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map((i) => {
    const expected = 'expected' in i ? `, expected ${i.expected}` : '';
    return `${i.path.map(String).join('.') || 'the whole'}: ${i.message}${expected}`;
  });
  throw new Error(wrong.join('; '));
}

export const instanceId = z
  .string()
  .check(z.regex(/^i-[0-9a-f]{8,17}$/, 'an instance id looks like i-0123456789abcdef0'));

export const clusterName = z
  .string()
  .check(
    z.regex(/^[a-z][a-z0-9-]{0,28}[a-z0-9]$/, 'a cluster is named by 2 to 30 lower-case letters, digits and hyphens'),
  );
