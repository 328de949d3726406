/** What a restore, and a rehearsed one, carries from step to step. */
import * as z from 'zod/mini';
import { jobSchema } from '../recovery/job.ts';
import { carriedSchema } from '../recovery/state.ts';

const nullable = <T extends z.core.SomeType>(schema: T) => z._default(z.nullable(schema), null);

/** As `PlanSummary`; the plan itself lies in the bucket. */
const plan = z.object({
  /** Key of the plan that the host reads. */
  key: z.string(),
  as: z.string(),
  history: z.string(),
  /** Where its log ends. */
  end: z.string(),
  /** Where its base ends. */
  baseEnd: z.string(),
  target: z.object({ kind: z.string(), value: z.string() }),
  summary: z.record(z.string(), z.unknown()),
});
export type CarriedPlan = z.infer<typeof plan>;

export const restoreAnswer = z.object({
  state: z.literal('restored'),
  /** `<timeline>/<lsn>` or a GTID position. */
  restoredTo: z.string(),
  lastTransactionAt: z.nullable(z.string()),
  durationMs: z.number(),
  downloadMs: z.number(),
  replayMs: z.number(),
});
export type RestoreAnswer = z.infer<typeof restoreAnswer>;

export const checksumAnswer = z.object({
  state: z.literal('done'),
  position: z.string(),
  digest: z.string().check(z.minLength(1, 'expected a digest')),
  tables: z.number(),
  rows: z.number(),
});
export type ChecksumAnswer = z.infer<typeof checksumAnswer>;

const common = {
  ...carriedSchema,
  ...jobSchema,
  /** Name of the new cluster, unless `archive`'s own is to be taken. */
  as: nullable(z.string()),
  history: nullable(z.string()),
  plan: nullable(plan),
  answer: nullable(restoreAnswer),
  address: nullable(z.string()),
  /** When the plan was made, and when there was a database: epoch ms. */
  plannedAtMs: nullable(z.number()),
  restoredAtMs: nullable(z.number()),
  path: z._default(z.enum(['launch', 'dry', 'ended', 'failed']), 'failed'),
};

export const restoreStateSchema = z.object({
  ...common,
  mode: z._default(z.literal('restore'), 'restore'),
  /** Left out, it is refused with what would be accepted. */
  target: z._default(z.string(), ''),
  dryRun: z._default(z.boolean(), false),
  /** Why it was refused. */
  refusal: nullable(z.string()),
});
export type RestoreState = z.infer<typeof restoreStateSchema>;

export const drillStateSchema = z.object({
  ...common,
  mode: z._default(z.literal('drill'), 'drill'),
  /** Where the checksum was taken that the restored database must have. */
  target: nullable(z.string()),
  dryRun: z._default(z.literal(false), false),
  refusal: nullable(z.string()),
  expected: nullable(checksumAnswer),
  /** Seconds that the archive was behind when the drill began. */
  rpoSeconds: nullable(z.number()),
});
export type DrillState = z.infer<typeof drillStateSchema>;

/** What the steps that both share look at. */
export type AnyRestore = RestoreState | DrillState;
