/**
 * Judges a specification at synth with the same schema that the functions use at run time.
 *
 * At synth a value may be a token, known only at deployment. It must not be taken for wrong, and what is known beside it
 * must still be judged: `Orders.<zone>.` is wrong whatever the zone is called. So each value with a token in it is tried
 * with examples in the token's place; if no example makes it right, the known part is wrong.
 */
import { createHash } from 'node:crypto';
import { Stack, Token, Tokenization } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import { describeProblems, parseSpec } from '../../lambdas/model/spec.ts';

type Path = readonly (string | number)[];
type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-west-1',
  'AWS::AccountId': '111122223333',
  'AWS::URLSuffix': 'amazonaws.com',
};

/** Examples of everything a token can stand for in a specification; `id` tells two tokens apart. */
const examples = (id: string): readonly string[] => [
  `arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/x/${id}`,
  `arn:aws:secretsmanager:eu-west-1:111122223333:secret:${id}-AbCdEf`,
  `lt-${id}`,
  `subnet-${id}`,
  'eu-west-1a',
  `Z${id.toUpperCase()}`,
  `x${id}.example.com`,
  `x${id}.example.com.`,
  `x/${id}`,
  `targetgroup/x/${id}`,
  `secret:${id}-AbCdEf`,
  id,
  'eu-west-1',
  '111122223333',
  'eu-west-1:111122223333',
  'aws',
  '1',
  '/dev/sdf',
  `-----BEGIN CERTIFICATE-----\n${id}\n-----END CERTIFICATE-----`,
];

const EXAMPLE_NUMBERS = [3, 30, 3600] as const;

const unresolved = (value: Json): boolean => Token.isUnresolved(value);

/** Paths of the values that hold a token. */
function tokenPaths(value: Json, path: Path = []): readonly Path[] {
  if (typeof value === 'string' || typeof value === 'number') return unresolved(value) ? [path] : [];
  if (value === null || typeof value === 'boolean') return [];
  const entries: readonly (readonly [string | number, Json])[] = Array.isArray(value)
    ? value.map((v: Json, i) => [i, v] as const)
    : Object.entries(value);
  return entries.flatMap(([key, v]) => tokenPaths(v, [...path, key]));
}

function put(root: Json, path: Path, leaf: Json): Json {
  const [key, ...rest] = path;
  if (key === undefined) return leaf;
  if (Array.isArray(root)) return root.map((v: Json, i) => (i === key ? put(v, rest, leaf) : v));
  const object = root as { readonly [key: string]: Json };
  return { ...object, [key]: put(object[key] ?? null, rest, leaf) };
}

const get = (root: Json, path: Path): Json =>
  path.reduce<Json>((value, key) => (value as { readonly [key: string | number]: Json })[key] ?? null, root);

const written = (path: Path): string =>
  path.reduce<string>(
    (out, key) => (typeof key === 'number' ? `${out}[${key}]` : out === '' ? key : `${out}.${key}`),
    '',
  );

/** Fills a string's tokens: pseudo parameters by what they are, the others by the chosen kind of example. */
function filled(scope: IConstruct, text: string, kind: number): string {
  const stack = Stack.of(scope);
  return Tokenization.reverseString(text)
    .mapTokens({
      mapToken: (token) => {
        const resolved = stack.resolve(token) as { Ref?: string } | string;
        if (typeof resolved === 'string') return resolved;
        const pseudo = PSEUDO[resolved.Ref ?? ''];
        if (pseudo !== undefined) return pseudo;
        const id = createHash('sha256').update(token.toString()).digest('hex').slice(0, 16);
        return examples(id)[kind] ?? id;
      },
    })
    .join({ join: (left: string | undefined, right: string | undefined) => (left ?? '') + (right ?? '') }) as string;
}

/** What a person reads in place of a token when the known part is wrong. */
const readable = (text: string): string => text.replaceAll(/\$\{Token\[[^\]]*\]\}/g, '<known at deployment>');

function fillings(scope: IConstruct, value: Json): readonly Json[] {
  if (typeof value === 'number') return EXAMPLE_NUMBERS;
  return examples('').map((_, kind) => filled(scope, value as string, kind));
}

/** The specification with every token replaced by an example that fits, or by a readable mark where none does. */
function withExamples(scope: IConstruct, spec: Json): Json {
  return tokenPaths(spec).reduce<Json>((soFar, path) => {
    const value = get(spec, path);
    const fits = fillings(scope, value).find((example) => {
      const result = parseSpec(put(soFar, path, example));
      return result.ok || !result.problems.some((p) => p.path === written(path));
    });
    return put(soFar, path, fits ?? (typeof value === 'string' ? readable(value) : value));
  }, spec);
}

/**
 * Throws one Error with a line for every problem, each naming the property, the value received and the mend.
 */
export function checkSpec(scope: IConstruct, draft: ClusterSpec): void {
  if (Token.isUnresolved(draft.name)) {
    throw new Error(
      "cluster name is known only at deployment: it is part of the parameter's name and of the tag on instances; give it as plain text",
    );
  }
  const result = parseSpec(withExamples(scope, draft));
  if (!result.ok) throw new Error(describeProblems(draft.name, result.problems));
}
