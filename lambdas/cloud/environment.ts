/**
 * Reads the environment variables that a function cannot do without, once, at its cold start.
 * @throws Error naming every one that is missing or empty.
 */
export function environment<Name extends string>(...names: readonly Name[]): Readonly<Record<Name, string>> {
  const missing = names.filter((n) => (process.env[n] ?? '') === '');
  if (missing.length > 0) {
    throw new Error(
      `not set: ${missing.join(', ')}; expected them in the function's environment (docs/architecture.md)`,
    );
  }
  return Object.fromEntries(names.map((n) => [n, process.env[n]])) as Record<Name, string>;
}

/** One that a function can do without: null when it is not set, or empty. */
export function optional(name: string): string | null {
  const value = process.env[name] ?? '';
  return value === '' ? null : value;
}
