/** What a backup carries from step to step. */
import * as z from 'zod/mini';
import { carriedSchema } from '../recovery/state.ts';
import { jobSchema } from '../recovery/job.ts';

/** A place in the log, as the hosts' scripts and the manifest write it. */
const place = z.union([z.object({ timeline: z.number(), lsn: z.string() }), z.object({ gtid: z.string() })]);

/** What the script says when it has done. */
export const backupAnswer = z.object({
  state: z.literal('done'),
  parts: z.number(),
  rawBytes: z.number(),
  storedBytes: z.number(),
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/, 'expected a SHA-256')),
  engineVersion: z.string(),
  beganAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  history: z.string(),
  start: place,
  end: place,
  seqno: z.exactOptional(z.number()),
});
export type BackupAnswer = z.infer<typeof backupAnswer>;

const upload = z.object({ key: z.string(), uploadId: z.string(), id: z.string(), history: z.string() });

export const backupStateSchema = z.object({
  ...carriedSchema,
  ...jobSchema,
  mode: z._default(z.literal('backup'), 'backup'),
  /** Which database the chosen node holds. */
  history: z._default(z.nullable(z.string()), null),
  upload: z._default(z.nullable(upload), null),
  answer: z._default(z.nullable(backupAnswer), null),
  /** Key of the manifest, once there is a backup. */
  manifest: z._default(z.nullable(z.string()), null),
});
export type BackupState = z.infer<typeof backupStateSchema>;

export type Upload = z.infer<typeof upload>;
