/** Which node is replaced next: pure. */
import type { EngineKind } from '../model/spec.ts';
import { INCIDENT_TAG, TEMPLATE_VERSION_TAG } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';

/** Set by EC2 on what it launched from a template, beside the version's tag. */
const TEMPLATE_TAG = 'aws:ec2launchtemplate:id';

export interface Fleet {
  readonly engine: EngineKind;
  /** The cluster's live instances. */
  readonly instances: readonly Instance[];
  /** The ledger's. */
  readonly writer: string | null;
  readonly templateId: string;
  /** What the template's version means now, a number as text. */
  readonly version: string;
  /** This rolling replacement's: what it launched is not replaced again. */
  readonly incident: string;
}

export type NextAct =
  | { readonly kind: 'roll'; readonly node: string; readonly why: string }
  /** PostgreSQL: the writes go to another node first, then this one is a replica like any other. */
  | { readonly kind: 'switchover'; readonly node: string; readonly why: string }
  | { readonly kind: 'done' };

/** Was it launched by another version, by another template or by hand. */
export function isStale(
  i: Instance,
  { templateId, version, incident }: Omit<Fleet, 'engine' | 'instances' | 'writer'>,
): boolean {
  if (i.tags[INCIDENT_TAG] === incident) return false;
  return i.tags[TEMPLATE_VERSION_TAG] !== version || (i.tags[TEMPLATE_TAG] ?? templateId) !== templateId;
}

/** Replicas first, by id; the writer last, because its turn moves the writes. */
export function chooseNext(fleet: Fleet): NextAct {
  const stale = fleet.instances.filter((i) => isStale(i, fleet)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const next = stale.find((i) => i.id !== fleet.writer) ?? stale[0];
  if (next === undefined) return { kind: 'done' };
  const runs = next.tags[TEMPLATE_VERSION_TAG] ?? 'no template at all';
  const why = `it runs ${runs}, expected version ${fleet.version} of ${fleet.templateId}`;
  return fleet.engine === 'postgres' && next.id === fleet.writer
    ? { kind: 'switchover', node: next.id, why: `${why}, and it is the primary` }
    : { kind: 'roll', node: next.id, why };
}
