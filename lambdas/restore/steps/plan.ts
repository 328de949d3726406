/** The plan, made before anything is touched (safety rule 11); what stands against it is told in a sentence. */
import type { ArchiveBucket } from '../../cloud/ports.ts';
import { positionText } from '../../model/archive/chain.ts';
import { newestHistory, rangesOf } from '../../model/archive/ranges.ts';
import type { Refusal } from '../../model/archive/target.ts';
import { chooseHistory, defaultName, isRefused, parseTarget, refusal, refuseName } from '../../model/archive/target.ts';
import { RecoveryError } from '../../model/recovery.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import { INCIDENT_TAG } from '../../model/spec.ts';
import { explain } from '../../recovery/finish.ts';
import { planKeyOf, readManifest } from '../../recovery/archive-plan.ts';
import type { Archive } from '../../recovery/read-archive.ts';
import { readArchive } from '../../recovery/read-archive.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import type { Choice } from '../../model/archive/choose.ts';
import { choose } from '../../model/archive/choose.ts';
import { planOf } from '../../model/archive/plan.ts';
import type { RestorePorts } from '../ports.ts';
import type { AnyRestore, CarriedPlan, RestoreState } from '../state.ts';

/** @throws RecoveryError RestoreRefused, with the code and the sentence. */
const orRefuse = <T extends object>(value: T | Refusal): T => {
  if (isRefused(value)) throw new RecoveryError('RestoreRefused', `${value.refused}: ${value.sentence}`);
  return value;
};

/** Answers the plan and whether it is carried out. @throws RecoveryError RestoreRefused. */
export const plan =
  <S extends AnyRestore>({ bucket }: RestorePorts): Step<S> =>
  async (state, context) => {
    const spec = await knownSpec(context);
    const archive = await readArchive(bucket, context.cluster);
    const choice = orRefuse(chosen(state, context, spec, archive));
    const as = state.as ?? defaultName(context.cluster, context.startedAtMs);
    await mustBeNew(context, bucket, as);
    const made = orRefuse(planOf(choice, orRefuse(await readManifest(bucket, choice)), archive.files, as));
    const key = planKeyOf(context, made.text);
    if (!state.dryRun) await bucket.put(key, Buffer.from(made.text));
    context.ports.log.info('the plan', { ...made.summary });
    const carried: CarriedPlan = {
      ...{ key, as, summary: { ...made.summary } },
      history: choice.catalogue.place.history,
      end: positionText(choice.end),
      baseEnd: positionText(choice.base.end),
      target: made.summary.target,
    };
    const outcome = state.dryRun ? 'the plan, as asked for: nothing was launched' : null;
    return {
      plan: carried,
      path: state.dryRun ? 'dry' : 'launch',
      outcome,
      plannedAtMs: context.nowMs,
    } as Partial<S>;
  };

/** A spec that is there and does not parse is an error of its own. */
async function knownSpec(context: StepContext): Promise<ClusterSpec> {
  const { ports, cluster } = context;
  if ((await ports.specs.get(cluster)) === null) {
    const known = (await ports.specs.list()).map((s) => s.cluster).join(', ') || 'none';
    const sentence = `the cluster is ${JSON.stringify(cluster)}, which has no specification: give one of ${known}`;
    throw new RecoveryError('RestoreRefused', `UNKNOWN_CLUSTER: ${sentence}`);
  }
  return loadSpec(context);
}

function chosen(state: AnyRestore, context: StepContext, spec: ClusterSpec, archive: Archive): Choice | Refusal {
  const target = parseTarget(state.target ?? '', spec.engine.kind);
  if (isRefused(target)) return target;
  const all = archive.catalogues.map((c) => rangesOf(c, archive.files));
  const history = chooseHistory(context.cluster, all, newestHistory(all), state.history);
  if (isRefused(history)) return history;
  const catalogue = archive.catalogues.find((c) => c.place.history === history.place.history);
  if (catalogue === undefined) return refusal('NOTHING_RESTORABLE', `the archive has nothing of ${context.cluster}`);
  if (catalogue.engine !== spec.engine.kind) {
    return refusal(
      'OTHER_ENGINE',
      `${history.place.history} is a database of ${catalogue.engine}, and ${context.cluster} is declared as ${spec.engine.kind}: give another history`,
    );
  }
  return choose(catalogue, archive.files, target, context.nowMs);
}

/** Safety rule 11: nobody has that name, by specification, instances or archive. */
export async function mustBeNew({ ports, incident }: StepContext, bucket: ArchiveBucket, as: string): Promise<void> {
  const specs = (await ports.specs.list()).map((s) => s.cluster);
  const instances = await ports.instances.ofCluster(as);
  const others = instances.filter((i) => i.tags[INCIDENT_TAG] !== incident && i.state !== 'terminated');
  const archived = await bucket.folders(`${as}/`);
  const taken = [...specs, ...(others.length > 0 || archived.length > 0 ? [as] : [])];
  const refused = refuseName(as, taken);
  if (refused !== null) throw new RecoveryError('RestoreRefused', `${refused.refused}: ${refused.sentence}`);
}

/** The sentence, as the execution's cause. */
export const refuse: Step<RestoreState> = async (state, { ports, cluster }) => {
  const { sentence } = explain(state.error ?? { Error: 'RestoreRefused', Cause: 'no error was handed over' });
  ports.log.warn('the restore is refused', { cluster, why: sentence });
  return { refusal: sentence, outcome: 'refused' };
};
