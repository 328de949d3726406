/**
 * Which node writes are routed to. Sticky: the writer changes only when it can no longer take writes or a person drains
 * it, for every change breaks all its connections.
 */
import type { Node } from '../../model/view.ts';
import type { WriterDecision } from '../engine.ts';
import { isDrained, isServing, isUnclear, nodeOf, whyDrained } from '../situation.ts';
import type { Situation } from '../situation.ts';
import { componentOf, hasAnswered, isAmbiguous } from './components.ts';

export function decideWriter(s: Situation): WriterDecision {
  const { writer } = s.view.ledger;
  const trouble = writerTrouble(s);
  const drained = writer !== null && isDrained(s, writer);
  if (writer !== null && trouble === null && !drained) return { kind: 'keep', node: writer };

  const why = writer === null ? 'the ledger names no writer' : (trouble ?? whyDrained(s, writer));
  const best = [...s.view.nodes].filter((n) => isCandidate(s, n)).sort(preference(s))[0];
  if (best === undefined || isAmbiguous(s.view)) {
    const obstacle =
      best === undefined
        ? 'no other node is Synced, writable and free to take the writes'
        : 'there are several primary components, of which nobody knows which has the last writes';
    const reason = `${why}, and ${obstacle}: routing stays as it is`;
    return {
      kind: 'nobody',
      refusal: { code: 'REFUSED_NO_CANDIDATE', ...(writer === null ? {} : { node: writer }), reason },
    };
  }
  const to = best.instance.id;
  const reason = `${why}; ${to} (${best.instance.zone}) is Synced in the primary component and writable`;
  return { kind: 'move', from: writer, to, reason };
}

/** Why the ledger's writer cannot take writes; null when it can, when that is unclear, or when there is none. */
export function writerTrouble(s: Situation): string | null {
  const { writer } = s.view.ledger;
  if (writer === null) return null;
  const node = nodeOf(s, writer);
  if (node === undefined) return `EC2 knows no instance ${writer} of the cluster`;
  if (isUnclear(s, writer)) return null;
  if (canKeepWriting(s, node)) return null;
  const code = s.codeOf(writer) ?? 'it is in no primary component';
  return `writer ${writer} cannot take writes (${[code, ...s.evidenceOf(writer)].join('; ')})`;
}

/**
 * A writer that gives its state to a joiner (Donor/Desynced, then Joined) goes on accepting writes under mariabackup, and
 * moving it would break what works.
 */
function canKeepWriting(s: Situation, node: Node): boolean {
  if (!hasAnswered(node) || !componentOf(s).some((n) => n.instance.id === node.instance.id)) return false;
  const { ready, state, readOnly } = node.probe.status;
  return node.instance.state === 'running' && ready && !readOnly && state !== 'Joining' && state !== 'Undefined';
}

/**
 * Safety rule 4. Galera certifies every write on every node before it is acknowledged, so that all Synced members of the
 * one primary component hold every acknowledged write; a node of another component or history is no candidate.
 */
function isCandidate(s: Situation, node: Node): boolean {
  const { id } = node.instance;
  return (
    isServing(s, node) &&
    hasAnswered(node) &&
    !node.probe.status.readOnly &&
    !isDrained(s, id) &&
    s.claim?.joiner !== id
  );
}

/** First who is routed to already (a cluster that Rejoin takes over), then no donor, then the longest in service. */
const preference =
  (s: Situation) =>
  (a: Node, b: Node): number =>
    Number(isRoutedWriter(s, b)) - Number(isRoutedWriter(s, a)) ||
    Number(s.claim?.donor === a.instance.id) - Number(s.claim?.donor === b.instance.id) ||
    a.instance.launchedAtMs - b.instance.launchedAtMs ||
    (a.instance.id < b.instance.id ? -1 : 1);

const isRoutedWriter = (s: Situation, node: Node): boolean =>
  s.view.ledger.writer === null &&
  s.view.targetGroups.some(
    (g) => g.route === 'writer' && g.targets.some((t) => t.id === node.instance.id && t.state !== 'draining'),
  );
