/** Who is in the primary component, and what its members say of the others: the peers' opinion as a witness. */
import type { GaleraStatus } from '../../model/galera.ts';
import type { ClusterView, Node, Probe } from '../../model/view.ts';

export type AnsweredNode = Node & {
  readonly probe: Extract<Probe, { readonly kind: 'answered' }> & { readonly status: GaleraStatus };
};

export const hasAnswered = (node: Node): node is AnsweredNode =>
  node.probe.kind === 'answered' && node.probe.status.engine === 'galera';

const isPrimary = (node: Node): node is AnsweredNode => hasAnswered(node) && node.probe.status.component === 'Primary';

const lists = (witness: AnsweredNode, node: Node): boolean =>
  node.instance.privateIp !== null && witness.probe.status.members.includes(node.instance.privateIp);

/** A list without its own author ("AUTO", or names that are not ours) says nothing of anybody. */
const hasOpinion = (witness: AnsweredNode): boolean => lists(witness, witness);

/** A joiner under SST has no state yet, so that its state UUID cannot tell where it belongs. */
const hasState = (node: AnsweredNode): boolean =>
  node.probe.status.state !== 'Joining' && node.probe.status.state !== 'Undefined';

/**
 * Do two nodes that both say "Primary" belong together: the same history (state UUID), and one lists the other. Two
 * primary components are possible only by a person's hand (`pc.bootstrap` on both sides of a split), but then writes
 * to both would be lost on one side.
 */
function together(a: AnsweredNode, b: AnsweredNode): boolean {
  if (hasState(a) && hasState(b) && a.probe.status.stateUuid !== b.probe.status.stateUuid) return false;
  return lists(a, b) || lists(b, a) || !hasOpinion(a) || !hasOpinion(b);
}

/** Every primary component that answers; more than one only when a person has made them. */
export function primaryComponents(view: Pick<ClusterView, 'nodes'>): readonly (readonly AnsweredNode[])[] {
  let groups: AnsweredNode[][] = [];
  for (const node of [...view.nodes].filter(isPrimary).sort(byId)) {
    const linked = groups.filter((g) => g.some((member) => together(member, node)));
    groups = [...groups.filter((g) => !linked.includes(g)), [...linked.flat(), node]];
  }
  return groups;
}

/**
 * The primary component that counts: the one with the ledger's writer, else the largest, else the one with the lowest
 * instance id. Empty when no node that answers is in one.
 */
export function primaryComponent(view: Pick<ClusterView, 'nodes' | 'ledger'>): readonly AnsweredNode[] {
  const groups = primaryComponents(view);
  const none: readonly AnsweredNode[] = [];
  return groups.find((g) => holdsWriter(view, g)) ?? groups.reduce((best, g) => (isBetter(g, best) ? g : best), none);
}

/** That of a situation. */
export const componentOf = (s: { readonly view: ClusterView }): readonly AnsweredNode[] => primaryComponent(s.view);

const holdsWriter = (view: Pick<ClusterView, 'ledger'>, component: readonly Node[]): boolean =>
  component.some((n) => n.instance.id === view.ledger.writer);

/** Several primary components, and the writer in none of them: nothing tells which one has the acknowledged writes. */
export function isAmbiguous(view: Pick<ClusterView, 'nodes' | 'ledger'>): boolean {
  const groups = primaryComponents(view);
  return groups.length > 1 && !groups.some((g) => holdsWriter(view, g));
}

const isBetter = (a: readonly Node[], b: readonly Node[]): boolean =>
  a.length !== b.length ? a.length > b.length : lowestId(a) < lowestId(b);

const lowestId = (nodes: readonly Node[]): string => nodes.map((n) => n.instance.id).sort()[0] ?? '';

const byId = (a: Node, b: Node): number => (a.instance.id < b.instance.id ? -1 : 1);

export type Opinion =
  /** At least one peer still counts the node as a member. */
  | { readonly kind: 'member'; readonly says: string }
  | { readonly kind: 'castOut'; readonly says: string }
  | { readonly kind: 'unknown'; readonly says: string };

/**
 * What the members of the primary component say of a node that we cannot reach. One peer that still lists it outweighs
 * all that do not: a view that is about to change is not evidence for death. Where the lists are unusable, the
 * component's size tells: when every member of it answers us, whoever does not answer is no member.
 */
export function peersOpinion(component: readonly AnsweredNode[], node: Node): Opinion {
  const peers = component.filter((n) => n.instance.id !== node.instance.id);
  if (peers.length === 0) return { kind: 'unknown', says: 'no peer in a primary component answers' };
  const informed = peers.filter(hasOpinion);
  const seenBy = informed.filter((p) => lists(p, node));
  if (seenBy.length > 0) return { kind: 'member', says: `${names(seenBy)} still list it as a member` };
  if (informed.length > 0) {
    return { kind: 'castOut', says: `${names(informed)} (primary component of ${sizeOf(informed)}) do not list it` };
  }
  return sizeOf(peers) <= peers.length
    ? {
        kind: 'castOut',
        says: `the primary component has ${sizeOf(peers)} members, and ${names(peers)} are all of them`,
      }
    : { kind: 'unknown', says: `the members that ${names(peers)} list cannot be matched with instances` };
}

const sizeOf = (nodes: readonly AnsweredNode[]): number => Math.max(...nodes.map((n) => n.probe.status.clusterSize));

const names = (nodes: readonly Node[]): string => nodes.map((n) => n.instance.id).join(', ');
