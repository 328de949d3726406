/** What the restored database must be: a checksum of a live replica, and where it was taken. */
import type { ArchiveBucket } from '../../cloud/ports.ts';
import { chainFrom } from '../../model/archive/chain.ts';
import { newestHistory, rangesOf } from '../../model/archive/ranges.ts';
import { isReached, isRefused, parseTarget } from '../../model/archive/target.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { parseAnswer, work } from '../../recovery/job.ts';
import { isLive } from '../../recovery/nodes.ts';
import type { Archive } from '../../recovery/read-archive.ts';
import { readRecent } from '../../recovery/read-archive.ts';
import { look, serving } from '../../recovery/serving.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { MINUTES, failAfter } from '../../recovery/wait.ts';
import type { EngineKind } from '../../model/spec.ts';
import type { RestorePorts } from '../ports.ts';
import { checksumAnswer } from '../state.ts';
import type { DrillState } from '../state.ts';

const CHECKSUM_MS = 6 * 60 * MINUTES;
/** Beyond any declared `rpoSeconds` that a drill is run with by sense. */
const ARCHIVED_MS = 2 * 60 * MINUTES;

/** @throws RecoveryError DrillFailed: no replica serves, or the script fails. */
export const expectation =
  ({ bucket }: RestorePorts): Step<DrillState> =>
  async (state, context) => {
    const spec = await loadSpec(context);
    const rpoSeconds = state.rpoSeconds ?? (await secondsBehind(bucket, context));
    const node = state.node ?? (await replica(context));
    const script = { instance: node, document: `${spec.engine.kind}-checksum`, parameters: { Live: 'yes' } };
    const progress = await work(state, context, script, 'DrillFailed', CHECKSUM_MS);
    if (progress.kind === 'running') return { ...progress.ask, node, rpoSeconds };
    const expected = parseAnswer(checksumAnswer, progress.answer, script, 'DrillFailed');
    return { node, rpoSeconds, expected, target: expected.position };
  };

/** A replica, so that the writes are not burdened. */
async function replica(context: StepContext): Promise<string> {
  const spec = await loadSpec(context);
  const { writer } = (await context.ports.ledger.read(spec.name)).cluster;
  const live = (await context.ports.instances.ofCluster(spec.name)).filter(isLive);
  const there = serving(await look(context, spec, live)).map((n) => n.instance.id);
  const found = there.toSorted().find((id) => id !== writer);
  if (found !== undefined) return found;
  throw new RecoveryError(
    'DrillFailed',
    `no replica of ${spec.name} serves (${there.join(', ') || 'none'}): nothing to compare with`,
  );
}

async function secondsBehind(bucket: ArchiveBucket, { cluster, nowMs }: StepContext): Promise<number | null> {
  const { catalogues, files } = await readRecent(bucket, cluster);
  const untilMs = newestHistory(catalogues.map((c) => rangesOf(c, files)))?.ranges.at(-1)?.untilMs;
  return untilMs === undefined ? null : Math.max(0, nowMs - untilMs) / 1000;
}

/** Until the archive has all of the place. @throws RecoveryError DrillFailed when it does not come. */
export const awaitArchived =
  ({ bucket }: RestorePorts): Step<DrillState> =>
  async (state, context) => {
    const spec = await loadSpec(context);
    const place = state.target ?? '';
    if (reaches(await readRecent(bucket, context.cluster), place, spec.engine.kind)) return { path: 'launch' };
    failAfter(
      context.waitedMs,
      ARCHIVED_MS,
      'DrillFailed',
      () => `the archive of ${context.cluster} has not reached ${place}`,
    );
    return { ready: false };
  };

function reaches({ catalogues, files }: Archive, place: string, engine: EngineKind): boolean {
  const target = parseTarget(place, engine);
  if (isRefused(target) || (target.kind !== 'lsn' && target.kind !== 'gtid')) {
    throw new RecoveryError(
      'DrillFailed',
      `the checksum was taken at ${JSON.stringify(place)}, which is no place in the log`,
    );
  }
  const newest = newestHistory(catalogues.map((c) => rangesOf(c, files)));
  const catalogue = catalogues.find((c) => c.place.history === newest?.place.history);
  return (
    catalogue?.bases.some((b) => b.storedBytes !== null && isReached(target, chainFrom(catalogue, b, files).end)) ??
    false
  );
}
