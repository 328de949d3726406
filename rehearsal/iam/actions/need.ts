/** What the tables of permissions are written in. */
import type { AwsRequest } from '../../cloud/contract.ts';
import type { Context } from '../context.ts';
import { NO_CONTEXT } from '../context.ts';
import type { Facts } from '../facts.ts';

export interface Place {
  readonly partition: string;
  readonly region: string;
  readonly account: string;
}

/** Keys that cost a look-up; only read when a policy asks for one of the prefixes. */
export interface LazyKeys {
  /** Lower case, ending in `/`. */
  readonly prefixes: readonly string[];
  read(): Promise<Context>;
}

export interface Need {
  readonly action: string;
  readonly resource: string;
  readonly context: Context;
  readonly lazy: LazyKeys | null;
  /** What this is encrypted with is also needed, through the service: `kms:Decrypt` and the like. */
  readonly keyOf: { readonly arn: string; readonly actions: readonly string[]; readonly keyId?: string | null } | null;
}

export interface Call {
  readonly request: AwsRequest;
  readonly params: Readonly<Record<string, unknown>>;
  readonly place: Place;
  readonly facts: Facts;
}

export type Mapper = (call: Call) => readonly Need[] | Promise<readonly Need[]>;

/** The call cannot be told to need this or that, so it is refused. */
export class CannotTell extends Error {
  override readonly name = 'CannotTell';
}

export interface Extras {
  readonly context?: Context;
  readonly lazy?: LazyKeys;
  readonly keyOf?: Need['keyOf'];
}

export const need = (action: string, resource: string, extras: Extras = {}): Need => ({
  action,
  resource,
  context: extras.context ?? NO_CONTEXT,
  lazy: extras.lazy ?? null,
  keyOf: extras.keyOf ?? null,
});

/** Operations of a service that AWS gives no finer resource than `*`. */
export const onEverything = (service: string, ...operations: readonly string[]): Record<string, Mapper> =>
  Object.fromEntries(operations.map((operation) => [operation, () => [need(`${service}:${operation}`, '*')]]));

export const arn = ({ partition, region, account }: Place, service: string, rest: string): string =>
  `arn:${partition}:${service}:${region}:${account}:${rest}`;

type Json = Readonly<Record<string, unknown>>;

/** A parameter as an object; empty when it is none. */
export const object = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};

/** A parameter as a list: one value is a list of one, and XML's `{ member: … }` wrappers are looked through. */
export function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null || value === '') return [];
  if (Array.isArray(value)) return value;
  const wrapped = object(value);
  const keys = Object.keys(wrapped);
  return keys.length === 1 && ['member', 'item', 'Change'].includes(keys[0]!) ? listOf(wrapped[keys[0]!]) : [value];
}

export const stringsOf = (value: unknown): readonly string[] =>
  listOf(value).map((item) => {
    if (typeof item !== 'string' || item === '')
      throw new CannotTell(`a parameter is ${JSON.stringify(item)}, expected a string`);
    return item;
  });

/** A required text parameter. */
export function text(call: Call, ...names: readonly string[]): string {
  for (const name of names) {
    const value = call.params[name];
    if (typeof value === 'string' && value !== '') return value;
  }
  throw new CannotTell(
    `${call.request.service}:${call.request.operation} came without ${names.join(' or ')}, so what it touches cannot be told`,
  );
}

/** Required resource ids. */
export function ids(call: Call, ...names: readonly string[]): readonly string[] {
  const found = names.flatMap((name) => stringsOf(call.params[name]));
  if (found.length > 0) return found;
  throw new CannotTell(
    `${call.request.service}:${call.request.operation} came without ${names.join(' or ')}, so what it touches cannot be told`,
  );
}

/** Tags of a request, from a list of `{ Key, Value }`. */
export const tagsOf = (value: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(
    listOf(value).map((item) => {
      const { Key, Value } = object(item);
      if (typeof Key !== 'string') throw new CannotTell(`a tag is ${JSON.stringify(item)}, expected a Key and a Value`);
      return [Key, typeof Value === 'string' ? Value : ''];
    }),
  );
