/** What is known of a base backup beside its bytes: the manifest, JSON, written when all else is in the bucket. */
import * as z from 'zod/mini';

const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/, 'give a SHA-256 in lower-case hexadecimal'));

export const manifestSchema = z.object({
  version: z.literal(1),
  cluster: z.string(),
  history: z.string(),
  engine: z.enum(['galera', 'postgres']),
  id: z.string(),
  /** Key of the data, beside this manifest in the same bucket. */
  data: z.string(),
  /** `15.18`, `10.11.19-MariaDB…`: a restore needs the same major version. */
  engineVersion: z.string(),
  /** Instance it was taken on. */
  takenOn: z.string(),
  /** ISO 8601 with Z, by the host's clock. */
  beganAt: z.string(),
  endedAt: z.string(),
  /** PostgreSQL: timeline and LSN, `{ "timeline": 1, "lsn": "0/2000028" }`. Galera: `{ "gtid": "0-1-270" }`. */
  start: z.record(z.string(), z.union([z.string(), z.number()])),
  end: z.record(z.string(), z.union([z.string(), z.number()])),
  /** Galera: seqno of the node's state, from which a joiner needs the rest (grastate.dat). */
  seqno: z.optional(z.number()),
  rawBytes: z.number(),
  storedBytes: z.number(),
  /** Of the stored bytes, whole. */
  sha256,
  /** In order: the pieces that were uploaded, each verified by S3 when it came and by the restore when it goes. */
  parts: z.array(z.object({ bytes: z.number(), sha256 })),
});

export type Manifest = z.infer<typeof manifestSchema>;
