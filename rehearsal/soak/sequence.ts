/** The order in which faults strike: drawn from a seed, so that the same soak can be asked for again. Pure. */
import { seededRandom } from '../cloud/faults.ts';

/** What is left to chance in one fault; both in [0, 1). */
export interface Chance {
  /** Which node. */
  readonly node: number;
  /** How long, where that is a question. */
  readonly length: number;
}

export interface Draw<Kind> extends Chance {
  /** From 1. */
  readonly number: number;
  readonly kind: Kind;
  /** Nothing happens for so long before it. */
  readonly calmMs: number;
}

const CALM_AT_LEAST_MS = 3000;
const CALM_AT_MOST_MS = 12_000;

/**
 * Faults without end: each kind once, in a random order, then each once again in another. So a short soak meets no kind
 * twice, and a long one each as often. Throws when there is no kind.
 */
export function* draws<Kind>(kinds: readonly Kind[], seed: number): Generator<Draw<Kind>, never> {
  if (kinds.length === 0) throw new Error('there is no kind of fault to draw from; give at least one');
  const random = seededRandom(seed);
  for (let number = 1; ;) {
    for (const kind of shuffled(kinds, random)) {
      const calmMs = Math.round(CALM_AT_LEAST_MS + random() * (CALM_AT_MOST_MS - CALM_AT_LEAST_MS));
      yield { number: number++, kind, calmMs, node: random(), length: random() };
    }
  }
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const left = [...list];
  return list.flatMap(() => left.splice(Math.floor(random() * left.length), 1));
}
