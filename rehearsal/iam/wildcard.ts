/**
 * The patterns of IAM policies: `*`, `?` and policy variables.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
 */

/**
 * How far a wildcard reaches in an ARN. AWS promises that `*` passes a colon only as the last character of a segment;
 * `narrow` keeps to that promise, `wide` lets it pass everywhere. What grants is read narrowly and what refuses widely,
 * so that a doubt never permits.
 */
export type Reach = 'narrow' | 'wide';

export interface PatternOptions {
  readonly reach?: Reach;
  readonly caseless?: boolean;
  /** Whether `*` and `?` are wildcards; in `StringEquals` they are themselves. */
  readonly glob?: boolean;
  /** Policy variables exist only in policies of version 2012-10-17. */
  readonly variables?: boolean;
}

/** Gives a variable's value; undefined when the request does not carry it or the rehearsal does not know it. */
export type Variables = (name: string) => string | undefined;

export interface Pattern {
  readonly source: string;
  /** Undefined when a policy variable has no value: neither a match nor a mismatch. */
  matches(text: string, variables: Variables): boolean | undefined;
}

type Token =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'many' }
  | { readonly kind: 'one' }
  | { readonly kind: 'variable'; readonly name: string; readonly fallback: string | undefined };

const VARIABLE = /^\$\{\s*([^,}]+?)\s*(?:,\s*'([^']*)'\s*)?\}/;

function tokens(source: string, options: PatternOptions): Token[] {
  const found: Token[] = [];
  let text = '';
  const flush = (): void => {
    if (text !== '') found.push({ kind: 'text', text });
    text = '';
  };
  for (let at = 0; at < source.length; at += 1) {
    const variable = options.variables === true && source[at] === '$' ? VARIABLE.exec(source.slice(at)) : null;
    if (variable !== null) {
      const name = variable[1]!;
      // `${*}`, `${?}` and `${$}` are how a policy writes these characters themselves.
      if (/^[*?$]$/.test(name)) text += name;
      else {
        flush();
        found.push({ kind: 'variable', name, fallback: variable[2] });
      }
      at += variable[0].length - 1;
    } else if (options.glob !== false && (source[at] === '*' || source[at] === '?')) {
      flush();
      found.push({ kind: source[at] === '*' ? 'many' : 'one' });
    } else {
      text += source[at];
    }
  }
  flush();
  return found;
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

function expression(parts: readonly Token[], options: PatternOptions, variables: Variables): RegExp | undefined {
  const narrow = options.reach !== 'wide';
  let body = '';
  for (const [i, part] of parts.entries()) {
    if (part.kind === 'text') body += escaped(part.text);
    else if (part.kind === 'one') body += narrow ? '[^:]' : '.';
    else if (part.kind === 'many') {
      const next = parts[i + 1];
      if (next?.kind === 'many') continue; // `**` is `*`, and repeated quantifiers would be slow
      const endsSegment = next === undefined || (next.kind === 'text' && next.text.startsWith(':'));
      body += narrow && !endsSegment ? '[^:]*' : '.*';
    } else {
      const value = variables(part.name) ?? part.fallback;
      if (value === undefined) return undefined;
      body += escaped(value);
    }
  }
  return new RegExp(`^${body}$`, options.caseless === true ? 'is' : 's');
}

const NO_VARIABLES: Variables = () => undefined;

/** Compiles a pattern once; only one with policy variables is built again for each request. */
export function pattern(source: string, options: PatternOptions = {}): Pattern {
  const parts = tokens(source, options);
  if (parts.length === 1 && parts[0]!.kind === 'many') return { source, matches: () => true };
  if (parts.some((part) => part.kind === 'variable')) {
    return { source, matches: (text, variables) => expression(parts, options, variables)?.test(text) };
  }
  const compiled = expression(parts, options, NO_VARIABLES)!;
  return { source, matches: (text) => compiled.test(text) };
}
