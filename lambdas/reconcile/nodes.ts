/** What every engine asks about instances. */
import { REPLACES_TAG } from '../model/spec.ts';
import type { ClusterView, Node } from '../model/view.ts';

/** EC2 has ended it or is about to. */
export const isGone = (node: Node): boolean =>
  node.instance.state === 'terminated' || node.instance.state === 'shutting-down';

/** Live instances that were launched in the place of `id`. */
export const replacementsOf = (view: Pick<ClusterView, 'nodes'>, id: string): readonly Node[] =>
  view.nodes.filter((n) => n.instance.tags[REPLACES_TAG] === id && !isGone(n));

/** As evidence: who has taken the place of `id` already. */
export const replacedBy = (view: ClusterView, id: string): string[] =>
  replacementsOf(view, id).map((n) => `${n.instance.id} takes its place`);

/** What a probe that was not answered found, for people. */
export function sentenceOfProbe(node: Node): string {
  const { instance, probe } = node;
  const where = `${instance.id} (${instance.privateIp ?? 'no address'}, ${instance.zone}), running according to EC2,`;
  switch (probe.kind) {
    case 'refused':
      return `${where} refuses connections: ${probe.detail}`;
    case 'silent':
      return `${where} accepts connections but says nothing for ${probe.tookMs} ms: ${probe.detail}`;
    case 'unreachable':
      return `${where} does not answer: ${probe.detail}`;
    case 'rejected':
    case 'skipped':
      return `${where} cannot be seen: ${probe.detail}`;
    case 'answered':
      return `${where} answers`;
  }
}
