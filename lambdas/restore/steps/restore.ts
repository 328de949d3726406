/** The script that makes the database, and what it has to be afterwards. */
import { RecoveryError } from '../../model/recovery.ts';
import { parseAnswer, work } from '../../recovery/job.ts';
import { databaseOf } from '../../recovery/nodes.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { MINUTES, failAfter } from '../../recovery/wait.ts';
import type { RestorePorts } from '../ports.ts';
import { restoreAnswer } from '../state.ts';
import type { AnyRestore } from '../state.ts';
import { servesAs, strayed } from '../verdict.ts';
import { failureOf, ownNode, planIn } from './launch.ts';

const DEADLINE_MS = 20 * 60 * MINUTES;
const SERVES_MS = 10 * MINUTES;

/** @throws RecoveryError RestoreFailed or DrillFailed: the script failed, or stopped elsewhere than at the target. */
export const restore =
  <S extends AnyRestore>({ bucketName }: RestorePorts): Step<S> =>
  async (state, context) => {
    const spec = await loadSpec(context);
    const plan = planIn(state);
    const { id } = await ownNode(state, context);
    const script = {
      instance: id,
      document: `${spec.engine.kind}-restore`,
      parameters: { Bucket: bucketName, Plan: plan.key },
    };
    const progress = await work(state, context, script, failureOf(state), DEADLINE_MS);
    if (progress.kind === 'running') {
      context.ports.log.info('the restore runs', { cluster: plan.as, ...progress.said });
      return progress.ask as Partial<S>;
    }
    const answer = parseAnswer(restoreAnswer, progress.answer, script, failureOf(state));
    const why = strayed(plan, answer);
    if (why !== null)
      throw new RecoveryError(failureOf(state), `${script.document} on ${id} ended elsewhere than it should: ${why}`);
    return { answer } as Partial<S>;
  };

/** The database itself says that it serves. @throws RecoveryError RestoreFailed or DrillFailed when it does not in time. */
export const verify =
  <S extends AnyRestore>(): Step<S> =>
  async (state, context) => {
    const spec = await loadSpec(context);
    const plan = planIn(state);
    const instance = await ownNode(state, context);
    const credentials = await context.ports.secrets.credentials(spec.credentialsSecretArn);
    const probe = await context.ports.prober.probe(databaseOf(spec, instance), credentials);
    const why = servesAs(probe, plan, state.answer);
    if (why === null)
      return { address: `${instance.privateIp ?? ''}:${spec.engine.port}`, restoredAtMs: context.nowMs } as Partial<S>;
    failAfter(
      context.waitedMs,
      SERVES_MS,
      failureOf(state),
      () => `${instance.id} does not serve what was restored: ${why}`,
    );
    return { ready: false } as Partial<S>;
  };
