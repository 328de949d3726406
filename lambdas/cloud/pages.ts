/** More pages than any fleet has: past this a token repeats without end, which must be seen and not looped on. */
const MOST_PAGES = 1_000;

/**
 * Reads every page of a listing.
 * @param read answers one page and the token of the next, which is absent on the last.
 * @throws Error when the pages do not end.
 */
export async function everyPage<T>(
  read: (token: string | undefined) => Promise<{ readonly items: readonly T[]; readonly next: string | undefined }>,
): Promise<readonly T[]> {
  const all: T[] = [];
  let token: string | undefined;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { items, next } = await read(token);
    all.push(...items);
    if (next === undefined || next === '') return all;
    token = next;
  }
  throw new Error(`a listing did not end after ${MOST_PAGES} pages (${all.length} items): narrow its filter`);
}

/** Splits a list into pieces of at most `size`. */
export function inBatches<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}
