/**
 * Whose acknowledgements a commit waits for, and what follows from it for a fence (safety rule 3) and for choosing a
 * candidate (rule 4). Pure. https://www.postgresql.org/docs/15/runtime-config-replication.html#GUC-SYNCHRONOUS-STANDBY-NAMES
 *
 * With `ANY need (standbys)` a commit is acknowledged when any `need` of n standbys have flushed it. So of any n − need + 1
 * standbys at least one has it, and a primary that can reach fewer than `need` of them acknowledges nothing. Both the
 * fence and the completeness of a choice are the same count.
 */

export interface QuorumSet {
  /** How many acknowledgements a commit waits for; 0: none (asynchronous). */
  readonly need: number;
  /** Instance ids, each also its standby's `application_name`. */
  readonly standbys: readonly string[];
}

/**
 * What the ledger knows of the primary's `synchronous_standby_names`. While it changes there are several sets: the
 * setting is one of them, and commits acknowledged under an earlier one may not yet lie on the standbys of a later one.
 * A set is dropped only when the primary shows the last one and every standby of that has flushed `barrierLsn`.
 */
export interface SyncState {
  /** Never empty. The last one is the one wanted. */
  readonly sets: readonly QuorumSet[];
  /** The primary's position at a look when it already had the last set; null until then, and when there is one set. */
  readonly barrierLsn: string | null;
}

/** The setting's text. `''` for a set that waits for nobody. */
export function synchronousStandbyNames(set: QuorumSet): string {
  if (set.need === 0 || set.standbys.length === 0) return '';
  return `ANY ${set.need} (${[...set.standbys]
    .sort()
    .map((id) => `"${id}"`)
    .join(', ')})`;
}

/** Reads what `synchronousStandbyNames` writes; null for any other form (a person's own setting). */
export function parseSynchronousStandbyNames(text: string): QuorumSet | null {
  if (text.trim() === '') return { need: 0, standbys: [] };
  const [, need, list] = /^ANY (\d+) \(([^()]*)\)$/.exec(text.trim()) ?? [];
  if (need === undefined || list === undefined) return null;
  const standbys = list.split(',').map((s) => /^\s*"(i-[0-9a-f]+)"\s*$/.exec(s)?.[1] ?? null);
  if (standbys.includes(null)) return null;
  return { need: Number(need), standbys: standbys as string[] };
}

/** How many of the set's standbys must be cut off (or asked) before nothing acknowledged can hide: n − need + 1. */
export const mustCover = (set: QuorumSet): number => set.standbys.length - set.need + 1;

/**
 * Are enough standbys among `covered` in every set. For a fence `covered` are the standbys proven to receive nothing more
 * (detached, or ended according to EC2); for the completeness of a choice they are those whose position is known since
 * then. False when any set waits for nobody: then nothing but EC2 proves a fence, and nothing proves completeness.
 */
export const covers = (state: SyncState, covered: ReadonlySet<string>): boolean =>
  state.sets.every((set) => set.need > 0 && set.standbys.filter((id) => covered.has(id)).length >= mustCover(set));

/** Acknowledgements that a cluster of `nodes` declares unless the specification says otherwise: with the primary, a majority. */
export const declaredNeed = (nodes: number, acknowledgements?: number): number =>
  acknowledgements ?? Math.floor(nodes / 2);
