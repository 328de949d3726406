/** Who serves, by probes made now and by what serving means with the cluster's engine. */
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance, Node } from '../model/view.ts';
import type { RecoveryEngine, Reference } from './engine.ts';
import { engineOf } from './engine-of.ts';
import { probeAll } from './nodes.ts';
import type { StepContext } from './step.ts';

/** Nodes probed now, and what to measure their words against. */
export interface Look {
  readonly engine: RecoveryEngine;
  readonly nodes: readonly Node[];
  readonly reference: Reference;
}

export async function look(context: StepContext, spec: ClusterSpec, instances: readonly Instance[]): Promise<Look> {
  const engine = engineOf(spec);
  const nodes = await probeAll(context, spec, instances);
  return { engine, nodes, reference: await engine.reference(context, spec, nodes) };
}

export const serving = ({ engine, nodes, reference }: Look): readonly Node[] =>
  nodes.filter((n) => engine.isServing(n, reference));

export const members = ({ engine, nodes, reference }: Look): readonly Node[] =>
  nodes.filter((n) => engine.isMember(n, reference));

/** Those of the instances that serve. */
export const servingOf = async (
  context: StepContext,
  spec: ClusterSpec,
  instances: readonly Instance[],
): Promise<readonly Node[]> => serving(await look(context, spec, instances));

/** Does this one serve. An instance that does not run is not asked. */
export async function serves(context: StepContext, spec: ClusterSpec, instance: Instance): Promise<boolean> {
  return instance.state === 'running' && (await servingOf(context, spec, [instance])).length > 0;
}
