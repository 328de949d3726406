/**
 * A joiner's data from the archive, so that no peer is burdened: the newest good base backup and the log after it, left as a standby
 * of nobody that Join finds to have the cluster's history. Whatever stands against it is SeedFailed, after which a peer gives the
 * data (Reseed): nothing is lost by trying.
 */
import * as z from 'zod/mini';
import { choose } from '../../model/archive/choose.ts';
import type { Choice } from '../../model/archive/choose.ts';
import { planOf } from '../../model/archive/plan.ts';
import type { RestorePlan } from '../../model/archive/plan.ts';
import { RATES } from '../../model/archive/plan.ts';
import { rangesOf } from '../../model/archive/ranges.ts';
import { isRefused } from '../../model/archive/target.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { INCIDENT_TAG } from '../../model/spec.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import { planKeyOf, readManifest } from '../../recovery/archive-plan.ts';
import { scriptOf } from '../../recovery/engine.ts';
import type { KeptLog } from '../../recovery/engine.ts';
import { engineOf } from '../../recovery/engine-of.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { parseAnswer, work } from '../../recovery/job.ts';
import { describe, isOurs } from '../../recovery/nodes.ts';
import { briefly, readRecent } from '../../recovery/read-archive.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { StepContext } from '../../recovery/step.ts';
import { MINUTES, duration } from '../../recovery/wait.ts';
import { reachesKeptLog } from '../choose-seed.ts';
import type { SeedPorts } from '../ports.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';
import { adoptable } from './launch.ts';

/** Until the archive has what the primary keeps no more: as a rule seconds. */
const CATCH_UP_MS = 3 * MINUTES;
/** One listing, and what is read after it, within a function's time. */
const READ_MS = 30_000;
/** What the plan reckons with may be wrong by so much; beyond the longest a peer is the better source. */
const PATIENCE = { factor: 4, leastMs: 10 * MINUTES, mostMs: 90 * MINUTES } as const;

const restored = z.object({
  state: z.literal('restored'),
  restoredTo: z.string(),
  systemId: z.string(),
  durationMs: z.number(),
});

const failed = (sentence: string): RecoveryError => new RecoveryError('SeedFailed', `from the archive: ${sentence}`);

/** Only what was launched for this incident is restored upon (safety rules 8 and 11), looked at right before each act. */
async function ownJoiner(state: ReplaceState, context: StepContext): Promise<string> {
  const id = joinerOf(state);
  const instance = await describe(context, id);
  if (id !== state.node && instance !== null && isOurs(instance, context.cluster)) {
    const launchedNow = instance.tags[INCIDENT_TAG] === context.incident;
    if (launchedNow && adoptable(instance, context.incident, state.node)) return id;
  }
  const found = instance === null ? 'EC2 does not know it' : `${instance.state}, tags ${JSON.stringify(instance.tags)}`;
  throw failed(
    `${id} is not what was launched for the incident ${context.incident} (${found}): nothing is restored on it`,
  );
}

function mustHave(archive: SeedPorts | null): SeedPorts {
  if (archive !== null) return archive;
  throw failed('the cluster declares one and this function knows none; expected ARCHIVE_BUCKET in its environment');
}

/** @throws RecoveryError ClaimLost; SeedFailed with what the archive lacks. */
export async function planSeed(
  state: ReplaceState,
  context: StepContext,
  archive: SeedPorts | null,
  sinceMs: number,
): Promise<Partial<ReplaceState>> {
  const ports = mustHave(archive);
  const spec = await loadSpec(context);
  const joiner = await ownJoiner(state, context);
  await holdClaim(context);
  // In this order: what is written after the archive was looked at is kept by then.
  const kept = await engineOf(spec).keepLog(context, spec, joiner);
  const late = context.nowMs - sinceMs > CATCH_UP_MS;
  if (kept === null && late) throw failed('nobody keeps the log for it');
  if (kept === null) return { ready: false };
  const made = await archived(() => makePlan(context, spec, ports, kept));
  if ('short' in made) {
    if (late) throw failed(made.short);
    return { ready: false };
  }
  const { base, log, estimate } = made.summary;
  const expectedMs = (estimate.seconds - RATES.launchSeconds) * 1000;
  if (expectedMs > PATIENCE.mostMs) throw failed(`it would take about ${duration(expectedMs)}: ${estimate.reckoning}`);
  const lastsMs = Math.min(PATIENCE.mostMs, PATIENCE.leastMs + PATIENCE.factor * expectedMs);
  const key = planKeyOf(context, made.text);
  await archived(() => ports.bucket.put(key, Buffer.from(made.text)));
  const says = `the base backup ${base.id} of ${base.endedAt} and ${log.objects} objects of log up to ${log.to}`;
  await record(context, `archive-${joiner}`, `restores ${joiner} from the archive`, says);
  const plan = { key, history: kept.history, says, untilMs: context.nowMs + lastsMs };
  return { ready: false, archive: { sinceMs, plan } };
}

/** Whatever the bucket, or what lies in it, throws: there is another source, so it must not end the replacement. */
async function archived<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof RecoveryError) throw error;
    throw failed(`it cannot be read: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
  }
}

/** `short`: what the archive does not have yet. @throws RecoveryError SeedFailed when waiting does not help. */
async function makePlan(
  context: StepContext,
  { name }: ClusterSpec,
  { bucket }: SeedPorts,
  kept: KeptLog,
): Promise<RestorePlan | { readonly short: string }> {
  const reading = briefly(bucket, context.ports.clock, READ_MS);
  const { catalogues, files } = await readRecent(reading, name);
  const catalogue = catalogues.find((c) => c.place.history === kept.history);
  if (catalogue === undefined) throw failed(`it has nothing of the database ${kept.history}`);
  const choice: Choice | { readonly sentence: string } = choose(catalogue, files, { kind: 'latest' }, context.nowMs);
  if ('sentence' in choice) throw failed(choice.sentence);
  const short = reachesKeptLog(choice.end, kept);
  if (short !== null) {
    const hole = rangesOf(catalogue, files).holes.find((h) => h.untilMs === null);
    if (hole !== undefined) throw failed(`${short}; ${hole.sentence}`);
    return { short };
  }
  const manifest = await readManifest(reading, choice);
  if (isRefused(manifest)) throw failed(manifest.sentence);
  const made = planOf(choice, manifest, files, name);
  if (isRefused(made)) throw failed(made.sentence);
  return made;
}

type Plan = NonNullable<NonNullable<ReplaceState['archive']>['plan']> & { readonly sinceMs: number };

/** @throws RecoveryError ClaimLost; SeedFailed: the script failed, took too long, or made another database. */
export async function restoreSeed(
  state: ReplaceState,
  context: StepContext,
  archive: SeedPorts | null,
  plan: Plan,
): Promise<Partial<ReplaceState>> {
  const { bucketName } = mustHave(archive);
  const joiner = await ownJoiner(state, context);
  await holdClaim(context);
  const script = {
    instance: joiner,
    document: scriptOf(await loadSpec(context), 'restore'),
    parameters: { Bucket: bucketName, Plan: plan.key, Finish: 'standby' },
  };
  // The step has waited for other things before.
  const deadlineMs = plan.untilMs - (context.nowMs - context.waitedMs);
  const progress = await work(state, context, script, 'SeedFailed', deadlineMs);
  if (progress.kind === 'running') return progress.ask;
  const answer = parseAnswer(restored, progress.answer, script, 'SeedFailed');
  if (answer.systemId !== plan.history)
    throw failed(`what was restored is the database ${answer.systemId}; expected ${plan.history}`);
  const took = `${plan.says}; in ${duration(answer.durationMs)}, to ${answer.restoredTo}`;
  await record(context, `seeded-${joiner}`, `${joiner} has its data from the archive`, took);
  return { ready: true };
}
