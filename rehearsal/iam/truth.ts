/** Three-valued logic: undefined is "the rehearsal cannot tell", which grants nothing and refuses. */
export type Truth = boolean | undefined;

export const not = (truth: Truth): Truth => (truth === undefined ? undefined : !truth);

/** False if any is false, else undefined if any is. */
export function every<T>(items: Iterable<T>, test: (item: T) => Truth): Truth {
  let result: Truth = true;
  for (const item of items) {
    const truth = test(item);
    if (truth === false) return false;
    if (truth === undefined) result = undefined;
  }
  return result;
}

/** True if any is true, else undefined if any is. */
export const some = <T>(items: Iterable<T>, test: (item: T) => Truth): Truth =>
  not(every(items, (item) => not(test(item))));
