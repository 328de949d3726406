/** PostgreSQL: a replacement holds the one claim that a failover needs. When the primary is lost, it lets go. */
import { inWords } from './nodes.ts';
import { primaryOf } from './postgres.ts';
import { look } from './serving.ts';
import type { Carried } from './state.ts';
import type { Step, StepContext } from './step.ts';
import { loadSpec } from './step.ts';

/** Between the two looks: one failed probe never triggers anything. */
const LOOK_AGAIN_MS = 2000;

/** Caught by every definition: the workflow withdraws and gives its claim back. Not a failure, so nobody is told. */
export class GivesWay extends Error {
  override readonly name = 'GivesWay';
}

/**
 * The step, unless the cluster's primary does not answer as one, twice: then this workflow ends and lets go of its claim, so
 * that the failover need not wait for a base backup of hours. What was launched stays: the next replacement goes on with it.
 * A cluster of another engine is not looked at.
 */
export function givingWay<S extends Carried>(step: Step<S>): Step<S> {
  return async (state, context) => {
    const lost = await primaryLost(context);
    if (lost !== null) throw new GivesWay(`${lost}: failover comes first, and this workflow lets go of the claim`);
    return step(state, context);
  };
}

async function primaryLost(context: StepContext): Promise<string | null> {
  const spec = await loadSpec(context);
  if (spec.engine.kind !== 'postgres') return null;
  const answers = async (): Promise<string | null> => {
    const { reference } = await look(context, spec, []);
    if (primaryOf(reference) !== null) return null;
    const found =
      reference.primary === null ? (reference.writer ?? 'nobody is the writer') : inWords(reference.primary);
    return `the primary of ${spec.name} does not answer as one (${found})`;
  };
  if ((await answers()) === null) return null;
  await context.ports.clock.sleep(LOOK_AGAIN_MS);
  return answers();
}
