/** Galera: every node says itself whether it serves. */
import { serves, servesInNeed } from '../model/galera.ts';
import type { Node } from '../model/view.ts';
import { chooseDonor } from './choose-donor.ts';
import type { RecoveryEngine, Reference } from './engine.ts';
import { galeraStatusOf } from './status.ts';

const NO_REFERENCE: Reference = { writer: null, primary: null };
const WHOLE = 'Synced, Primary';

/** In the primary component. */
export const isMember = (node: Node): boolean => galeraStatusOf(node)?.component === 'Primary';

function isServing(node: Node): boolean {
  const status = galeraStatusOf(node);
  return node.instance.state === 'running' && status !== null && servesInNeed(status);
}

export const galeraRecovery: RecoveryEngine = {
  kind: 'galera',
  reference: () => Promise.resolve(NO_REFERENCE),
  isServing,
  isMember,
  hasCaughtUp: (node) => {
    const status = galeraStatusOf(node);
    return status !== null && serves(status);
  },
  expected: WHOLE,
  progress: (node) => {
    const status = galeraStatusOf(node);
    return status === null ? null : `${status.state}, ${status.component}`;
  },
  isWhole: (progress) => progress === WHOLE,
  chooseDonor: (others, _, writer, joinerZone) => chooseDonor(others, writer, joinerZone),
  noDonor: 'no node is Synced',
  beforeJoin: () => Promise.resolve(),
  keepLog: () => Promise.resolve(null),
  joinParameters: ({ others, donor }) => ({
    Peers: others
      .filter(isServing)
      .flatMap((n) => n.instance.privateIp ?? [])
      .join(','),
    Donor: donor.node.instance.id,
  }),
  joinFailure: () => 'failed',
  // A transfer shows itself by a server that does not listen. One that listens outside the primary component may have been
  // left alone there: its data may be the last, so they are never taken for useless.
  standstill(node, _, before) {
    const status = galeraStatusOf(node);
    return status === null || isMember(node) ? null : (before ?? { sinceMs: node.probe.atMs, at: status.component });
  },
  standstillMeans: 'NoDonor',
};
