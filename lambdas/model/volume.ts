/**
 * Data volumes of a cluster, and which of them nobody uses: what is left of nodes that were lost together, of instances that were taken
 * back, of nodes that nobody missed. Whose data they hold cannot be proven, so that they are never deleted (safety rule 8); they cost
 * money, so that people are told.
 */
import { CLUSTER_TAG } from './spec.ts';

/** Tag on a volume that a joiner could not be seeded from: it is not tried again. */
export const UNUSABLE_TAG = 'rejoin:unusable';

export interface Volume {
  readonly id: string;
  readonly state: 'creating' | 'available' | 'in-use' | 'deleting' | 'error';
  readonly zone: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly attachedTo: string | null;
  readonly device: string | null;
}

/** Drills of restores tag theirs for a cluster of their own. */
export const unusedVolumes = (volumes: readonly Volume[], cluster: string): readonly Volume[] =>
  volumes.filter((v) => v.tags[CLUSTER_TAG] === cluster && v.state === 'available' && v.attachedTo === null);

/** The line of an incident's record that tells of it. */
export const leavesVolume = (id: string): string => `leaves the volume ${id}`;

/** Why it is left. */
export const whyLeft = ({ zone, tags }: Volume): string => {
  const marked = tags[UNUSABLE_TAG] === undefined ? '' : `, and is marked ${UNUSABLE_TAG}`;
  return `it is attached to nobody in ${zone}${marked}: delete it when nothing on it is needed any more`;
};
