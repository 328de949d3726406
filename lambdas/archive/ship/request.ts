/** What starts a shipper. */
import * as z from 'zod/mini';

const eventSchema = z.object({ cluster: z.string().check(z.minLength(1, 'give the name of a cluster')) });

/** @throws Error naming what was received. */
export function parseShipEvent(event: unknown): { readonly cluster: string } {
  const parsed = eventSchema.safeParse(event);
  if (parsed.success) return parsed.data;
  throw new Error(`a shipper was started with ${JSON.stringify(event)}: expected {"cluster": "…"}`);
}
