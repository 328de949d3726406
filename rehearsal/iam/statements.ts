/** Compiles policy documents (JSON after intrinsics are resolved) into statements. */
import type { Condition } from './conditions.ts';
import { condition } from './conditions.ts';
import type { Principal, Statement } from './evaluate.ts';
import type { Pattern } from './wildcard.ts';
import { pattern } from './wildcard.ts';

/** Stands in a document for a part that could not be resolved. */
export class Unresolved {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

export interface Source {
  /** Stable across runs, such as `ReconcileRole/DefaultPolicy`. */
  readonly id: string;
  /** What a resource policy stands on: there, `Resource` may be left out. */
  readonly on?: string;
}

type Json = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const list = (value: unknown): readonly unknown[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

/** Strings of an element that may be one or many; numbers and booleans as JSON writes them. */
function words(value: unknown, what: string): string[] {
  return list(value).map((item) => {
    if (typeof item === 'string') return item;
    if (typeof item === 'number' || typeof item === 'boolean') return String(item);
    throw new Unreadable(`${what} holds ${JSON.stringify(item)}, expected a string`);
  });
}

class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

/** Compiles a document. What cannot be read becomes a statement with a `problem`, never nothing. */
export function statementsOf(document: unknown, source: Source): Statement[] {
  if (document instanceof Unresolved) return [unreadable(source.id, document.reason)];
  if (!isRecord(document)) {
    return [unreadable(source.id, `the policy is ${JSON.stringify(document)}, expected an object with a Statement`)];
  }
  const variables = document['Version'] === '2012-10-17';
  return list(document['Statement']).map((statement, i) => one(statement, `${source.id}/${i}`, variables, source.on));
}

/** Refuses nothing and grants nothing; there to be reported. */
const unreadable = (id: string, problem: string): Statement => ({
  id,
  label: id,
  effect: 'Allow',
  actions: [pattern('*')],
  exceptActions: false,
  resources: [],
  exceptResources: false,
  conditions: [],
  principal: null,
  problem,
});

function one(raw: unknown, id: string, variables: boolean, on: string | undefined): Statement {
  if (raw instanceof Unresolved) return unreadable(id, raw.reason);
  if (!isRecord(raw)) return unreadable(id, `the statement is ${JSON.stringify(raw)}, expected an object`);
  const sid = typeof raw['Sid'] === 'string' && raw['Sid'] !== '' ? raw['Sid'] : undefined;
  const label = sid === undefined ? id : `${id} (${sid})`;
  const effect = raw['Effect'];
  const unresolved = firstUnresolved(raw);
  try {
    if (effect !== 'Allow' && effect !== 'Deny') {
      throw new Unreadable(`Effect is ${JSON.stringify(effect)}, expected Allow or Deny`);
    }
    const problem = unresolved === undefined ? contradiction(raw) : unresolved.reason;
    // A Deny that cannot be read whole still refuses what its actions name, on every resource.
    const usable = problem === null ? raw : { Effect: effect, ...actionsOnly(raw) };
    return { id, label, effect, problem, ...parts(usable, effect, variables, problem === null ? on : '*') };
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return { ...unreadable(id, error.message), label, effect: effect === 'Deny' ? 'Deny' : 'Allow' };
  }
}

function actionsOnly(raw: Json): Json {
  const readable = (value: unknown): boolean => firstUnresolved(value) === undefined;
  if (raw['Action'] !== undefined && readable(raw['Action'])) return { Action: raw['Action'] };
  if (raw['NotAction'] !== undefined && readable(raw['NotAction'])) return { NotAction: raw['NotAction'] };
  return { Action: '*' };
}

function contradiction(raw: Json): string | null {
  for (const element of ['Action', 'Resource', 'Principal']) {
    if (raw[element] !== undefined && raw[`Not${element}`] !== undefined) {
      return `it has both ${element} and Not${element}; keep one`;
    }
  }
  return null;
}

type Parts = Omit<Statement, 'id' | 'label' | 'effect' | 'problem'>;

function parts(raw: Json, effect: 'Allow' | 'Deny', variables: boolean, on: string | undefined): Parts {
  const exceptActions = raw['NotAction'] !== undefined;
  const exceptResources = raw['NotResource'] !== undefined;
  const actions = words(raw['Action'] ?? raw['NotAction'], 'Action');
  const resources = words(raw['Resource'] ?? raw['NotResource'] ?? on, 'Resource');
  if (actions.length === 0) throw new Unreadable('it has no Action and no NotAction; add one');
  if (resources.length === 0) throw new Unreadable('it has no Resource and no NotResource; add one');
  // An exception turns the direction round: what it excludes must be read widely where it grants.
  const reach = (effect === 'Allow') !== exceptResources ? 'narrow' : 'wide';
  return {
    actions: actions.map((a): Pattern => pattern(a, { caseless: true, reach: 'wide' })),
    exceptActions,
    resources: resources.map((r): Pattern => pattern(r, { reach, variables })),
    exceptResources,
    conditions: conditionsOf(raw['Condition'], variables),
    principal: principalOf(raw),
  };
}

function conditionsOf(block: unknown, variables: boolean): Condition[] {
  if (block === undefined) return [];
  if (!isRecord(block)) throw new Unreadable(`Condition is ${JSON.stringify(block)}, expected an object`);
  return Object.entries(block).flatMap(([operator, keys]) => {
    if (!isRecord(keys)) throw new Unreadable(`Condition ${operator} is ${JSON.stringify(keys)}, expected an object`);
    return Object.entries(keys).map(([key, values]) =>
      condition(operator, key, words(values, `${operator} ${key}`), variables),
    );
  });
}

function principalOf(raw: Json): Principal | null {
  if (raw['NotPrincipal'] !== undefined) return { kind: 'unclear' };
  const principal = raw['Principal'];
  if (principal === undefined) return null;
  if (principal === '*') return { kind: 'anyone' };
  if (!isRecord(principal)) return { kind: 'unclear' };
  if (principal['AWS'] === undefined) return { kind: 'others' };
  return { kind: 'aws', names: words(principal['AWS'], 'Principal') };
}

function firstUnresolved(value: unknown): Unresolved | undefined {
  if (value instanceof Unresolved) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const inner of Object.values(value)) {
    const found = firstUnresolved(inner);
    if (found !== undefined) return found;
  }
  return undefined;
}
