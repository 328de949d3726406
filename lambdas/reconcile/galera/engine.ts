/** How reconcile decides for Galera: several nodes that accept writes, of which one is routed to. */
import { serves, servesInNeed } from '../../model/galera.ts';
import type { Node } from '../../model/view.ts';
import type { Engine } from '../engine.ts';
import type { Situation } from '../situation.ts';
import { componentOf, hasAnswered, primaryComponent } from './components.ts';
import { diagnoseNode } from './diagnose-node.ts';
import { quorum } from './quorum.ts';
import { recover } from './recover.ts';
import { suspicionOf } from './suspect.ts';
import { decideWriter, writerTrouble } from './writer.ts';

const inComponent = (s: Situation, node: Node): boolean =>
  componentOf(s).some((n) => n.instance.id === node.instance.id) && node.instance.state === 'running';

export const galera: Engine = {
  diagnoseNodes(view) {
    const component = primaryComponent(view);
    return view.nodes.flatMap((n) => diagnoseNode(view, component, n) ?? []);
  },
  diagnoseCluster: quorum,
  healthyEvidence: (s) =>
    `${componentOf(s).length} nodes are Synced in the primary component, routed as they should be`,
  /** Synced in the primary component. */
  isServing: (s, node) => hasAnswered(node) && inComponent(s, node) && serves(node.probe.status),
  /** A donor, too. */
  isServingInNeed: (s, node) => hasAnswered(node) && inComponent(s, node) && servesInNeed(node.probe.status),
  isUnclear: () => false,
  suspectSeconds: 2,
  servingReason: 'in the primary component and Synced',
  decideWriter,
  writerTrouble,
  recover,
  upkeep: () => ({ urgent: [], calm: [], waits: [] }),
  suspicionOf,
};
