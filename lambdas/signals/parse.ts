import { kindFor } from './registry.ts';
import type { Signal } from './signal.ts';
import { checked, envelopeSchema } from './signal.ts';

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
    const event = checked(envelopeSchema, JSON.parse(body));
    const kind = kindFor(event);
    if (kind === undefined) {
      return { kind: 'unknown', source: event.source, detailType: event['detail-type'], version: event.version };
    }
    return { kind: 'signal', signal: { eventId: event.id, ...kind.read(event.detail) } };
  } catch (error) {
    const beginning = JSON.stringify(body.length <= 200 ? body : `${body.slice(0, 200)}…`);
    const why = error instanceof Error ? error.message : String(error);
    return { kind: 'malformed', why: `message ${beginning} is not an event that can be read: ${why}` };
  }
}
