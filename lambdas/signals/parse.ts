import * as z from 'zod/mini';
import { kindFor } from './registry.ts';
import type { Signal } from './signal.ts';
import { envelopeSchema } from './signal.ts';

/**
 * - `signal`: understood.
 * - `unknown`: a well-formed event of a kind that nobody here knows: counted and dropped.
 * - `malformed`: not an event, or a known kind with a detail that is not as documented: fails alone, ends in the DLQ.
 */
export type Parsed =
  | { readonly kind: 'signal'; readonly signal: Signal }
  | { readonly kind: 'unknown'; readonly source: string; readonly detailType: string; readonly version: string }
  | { readonly kind: 'malformed'; readonly why: string };

/** Reads one queue message. Never throws. */
export function parseSignal(body: string): Parsed {
  try {
    const envelope = envelopeSchema.safeParse(JSON.parse(body));
    if (!envelope.success) {
      return malformed(body, `is not an EventBridge event: ${problems(envelope.error)}`);
    }
    const event = envelope.data;
    const kind = kindFor(event);
    if (kind === undefined) {
      return { kind: 'unknown', source: event.source, detailType: event['detail-type'], version: event.version };
    }
    return { kind: 'signal', signal: { eventId: event.id, ...kind.read(event.detail) } };
  } catch (error) {
    const why = error instanceof z.core.$ZodError ? problems(error) : String(error);
    return malformed(body, `could not be read: ${why}`);
  }
}

const problems = (error: z.core.$ZodError): string =>
  error.issues
    .map((i) => {
      const expected = 'expected' in i ? `, expected ${i.expected}` : '';
      return `${i.path.map(String).join('.') || 'the event'}: ${i.message}${expected}`;
    })
    .join('; ');

const malformed = (body: string, why: string): Parsed => ({
  kind: 'malformed',
  why: `message ${JSON.stringify(body.length <= 200 ? body : `${body.slice(0, 200)}…`)} ${why}`,
});
