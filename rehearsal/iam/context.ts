/** The context keys of one request, and which of them the rehearsal knows to be absent. */
import type { Variables } from './wildcard.ts';

export interface Context {
  /** Keys in lower case: IAM's condition keys are not case-sensitive. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /**
   * Keys, and prefixes ending in `/`, that the rehearsal fills in completely: missing here means missing on AWS too.
   * Any other missing key is not known, and a condition on it cannot be evaluated.
   */
  readonly complete: ReadonlySet<string>;
}

type Values = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Builds a context. A value of undefined says that AWS would not send the key either. */
export function context(values: Values, completePrefixes: readonly string[] = []): Context {
  const map = new Map<string, readonly string[]>();
  const complete = new Set(completePrefixes.map((prefix) => prefix.toLowerCase()));
  for (const [key, value] of Object.entries(values)) {
    complete.add(key.toLowerCase());
    if (value !== undefined) map.set(key.toLowerCase(), typeof value === 'string' ? [value] : value);
  }
  return { values: map, complete };
}

export const NO_CONTEXT: Context = context({});

/** Both contexts; on a key in both, the later one counts. */
export function merge(...contexts: readonly Context[]): Context {
  return {
    values: new Map(contexts.flatMap((c) => [...c.values])),
    complete: new Set(contexts.flatMap((c) => [...c.complete])),
  };
}

/** Whether absence of this key (in lower case) is a fact. */
export function knows(context: Context, key: string): boolean {
  if (context.values.has(key) || context.complete.has(key)) return true;
  const slash = key.indexOf('/');
  return slash >= 0 && context.complete.has(key.slice(0, slash + 1));
}

/** A policy variable is a context key with exactly one value. */
export const variablesOf =
  (context: Context): Variables =>
  (name) => {
    const values = context.values.get(name.toLowerCase());
    return values?.length === 1 ? values[0] : undefined;
  };

/** Context keys that a set of tags makes, under each prefix, such as `aws:ResourceTag/`. */
export function tagContext(tags: Readonly<Record<string, string>>, ...prefixes: readonly string[]): Context {
  const pairs = prefixes.flatMap((prefix) =>
    Object.entries(tags).map(([key, value]) => [prefix + key, value] as const),
  );
  return context(Object.fromEntries(pairs), prefixes);
}

/** `aws:RequestTag/…` and `aws:TagKeys` of a request that sets these tags. */
export function requestTags(tags: Readonly<Record<string, string>>): Context {
  const keys = Object.keys(tags);
  return merge(tagContext(tags, 'aws:RequestTag/'), context({ 'aws:TagKeys': keys.length > 0 ? keys : undefined }));
}
