/** Whether the lost node's data can be used again: pure. */
import { CLUSTER_TAG } from '../model/spec.ts';
import { UNUSABLE_TAG } from '../model/volume.ts';
import type { Volume } from '../model/volume.ts';

/**
 * For a node that EC2 has already stripped of its volumes: a detached data volume of the cluster in the node's zone, when
 * there is exactly one. With several nobody can say whose they are, and a guess would join with a stranger's data.
 */
export function orphanedVolume(volumes: readonly Volume[], cluster: string, zone: string | null): string | null {
  const candidates = volumes.filter(
    (v) =>
      v.state === 'available' &&
      v.attachedTo === null &&
      v.zone === zone &&
      v.tags[CLUSTER_TAG] === cluster &&
      v.tags[UNUSABLE_TAG] === undefined,
  );
  return candidates.length === 1 ? (candidates[0]?.id ?? null) : null;
}

export type VolumeUse =
  | { readonly kind: 'attached' }
  | { readonly kind: 'attach' }
  | { readonly kind: 'detach' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'gone'; readonly why: string };

/** What the volume of `cluster` needs so that the joiner can have it. `lost` is fenced. */
export function useOf(
  cluster: string,
  volume: Volume | undefined,
  joiner: string | null,
  lost: string | null,
  zone: string | null,
): VolumeUse {
  if (volume === undefined) return { kind: 'gone', why: 'it does not exist any more' };
  // Safety rule 8; IAM would refuse the detachment too, and with it the whole replacement.
  if (volume.tags[CLUSTER_TAG] !== cluster) return { kind: 'gone', why: `it does not carry ${CLUSTER_TAG}=${cluster}` };
  if (volume.tags[UNUSABLE_TAG] !== undefined) return { kind: 'gone', why: `it is marked ${UNUSABLE_TAG}` };
  if (zone !== null && volume.zone !== zone) return { kind: 'gone', why: `it is in ${volume.zone}, not in ${zone}` };
  switch (volume.state) {
    case 'available':
      return { kind: 'attach' };
    case 'in-use':
      if (joiner !== null && volume.attachedTo === joiner) return { kind: 'attached' };
      // EC2 reports no attachment while one comes or goes.
      if (volume.attachedTo === null) return { kind: 'wait' };
      if (volume.attachedTo === lost) return { kind: 'detach' };
      return { kind: 'gone', why: `it is attached to ${volume.attachedTo}` };
    case 'creating':
      return { kind: 'wait' };
    case 'deleting':
    case 'error':
      return { kind: 'gone', why: `it is ${volume.state}` };
  }
}
