/** DynamoDB's tagged values to and from plain ones: only what the ledger stores. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';

export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain | undefined };

/** Absent (`undefined`) properties are left out. Numbers must be finite: DynamoDB has no others. */
export function toAttribute(value: Plain): AttributeValue {
  if (value === null) return { NULL: true };
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'boolean') return { BOOL: value };
  if (typeof value !== 'number') return isList(value) ? { L: value.map(toAttribute) } : { M: toItem(value) };
  if (!Number.isFinite(value)) throw new Error(`cannot store the number ${value} in DynamoDB: give a finite one`);
  return { N: String(value) };
}

const isList = (value: Plain): value is readonly Plain[] => Array.isArray(value);

export function toItem(value: { readonly [key: string]: Plain | undefined }): Record<string, AttributeValue> {
  const present = Object.entries(value).filter((entry): entry is [string, Plain] => entry[1] !== undefined);
  return Object.fromEntries(present.map(([key, v]) => [key, toAttribute(v)]));
}

/** @throws Error on a type that the ledger never writes (binary, sets). */
export function fromAttribute(value: AttributeValue): Plain {
  if (value.S !== undefined) return value.S;
  if (value.N !== undefined) return Number(value.N);
  if (value.BOOL !== undefined) return value.BOOL;
  if (value.NULL !== undefined) return null;
  if (value.L !== undefined) return value.L.map(fromAttribute);
  if (value.M !== undefined) return fromItem(value.M);
  throw new Error(`DynamoDB holds ${JSON.stringify(Object.keys(value))}, expected S, N, BOOL, NULL, L or M`);
}

export function fromItem(item: Readonly<Record<string, AttributeValue>>): Record<string, Plain> {
  return Object.fromEntries(Object.entries(item).map(([key, v]) => [key, fromAttribute(v)]));
}

/**
 * Attribute names for expressions that write every name as `#name`: many plain words (`cluster`, `owner`) are reserved.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
 */
export function namesIn(...expressions: readonly (string | undefined)[]): Record<string, string> {
  const used = expressions.flatMap((e) => e?.match(/#\w+/g) ?? []);
  return Object.fromEntries(used.map((name) => [name, name.slice(1)]));
}
