/**
 * The ledger's items as DynamoDB holds them, read through schemas: another version of Rejoin or a person may have written
 * them. Maps that grow (suspicions, entries) are flat attributes with a prefix, because a single UpdateItem can set one of
 * those whether or not anything was there before, and an item's nested map would have to be made first.
 */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import * as z from 'zod/mini';
import type {
  ClusterLedger,
  FleetBrake,
  FleetFailure,
  IncidentEntry,
  OpenIncident,
  RecoveryMode,
  Suspicion,
} from '../model/ledger.ts';
import { EMPTY_LEDGER, RELEASED_BRAKE } from '../model/ledger.ts';
import { isLsn } from '../model/lsn.ts';
import type { Plain } from './attribute-values.ts';
import { fromItem } from './attribute-values.ts';

export type Key = Record<'pk' | 'sk', AttributeValue.SMember>;
type Item = Readonly<Record<string, AttributeValue>>;

/** One UpdateItem; in expressions names are written `#name`, values `:name`. */
export interface Update {
  readonly key: Key;
  readonly set: string;
  readonly condition?: string;
  readonly names?: Readonly<Record<string, string>>;
  readonly values?: Readonly<Record<string, Plain>>;
}

const key = (pk: string, sk: string): Key => ({ pk: { S: pk }, sk: { S: sk } });
export const FLEET = 'fleet';
export const FAILURE = 'failure#';
export const stateKey = (cluster: string): Key => key(`cluster#${cluster}`, 'state');
export const incidentKey = (cluster: string, incident: string): Key =>
  key(`cluster#${cluster}`, `incident#${incident}`);
export const leaseKey = (cluster: string, what: string): Key => key(`cluster#${cluster}`, `lease#${what}`);
export const brakeKey: Key = key(FLEET, 'brake');
export const launchesKey: Key = key(FLEET, 'launches');
export const failureKey = (f: FleetFailure): Key => key(FLEET, `${FAILURE}${f.cluster}#${f.node}`);

export const suspicionOf = (node: string): string => `suspicion#${node}`;
export const fenceOf = (node: string): string => `fence#${node}`;
export const leftOverOf = (node: string): string => `leftOver#${node}`;
export const entryOf = (entryKey: string): string => `entry#${entryKey}`;

const text = z.string();
const number = z.number();
const lsn = text.check(z.refine(isLsn, 'expected an LSN such as 16/B374D848'));
const orNull = <T extends z.core.$ZodType>(schema: T) => z._default(z.nullable(schema), null);

/** Every one of the model's: a ledger with one that is missing here could not be read any more. */
const MODES = {
  ...{ rejoin: 'rejoin', replace: 'replace', add: 'add', roll: 'roll', retire: 'retire' },
  ...{ bootstrap: 'bootstrap', failover: 'failover', switchover: 'switchover', rolling: 'rolling' },
} as const satisfies { readonly [mode in RecoveryMode]: mode };
const SUSPICIONS = {
  ...{ refused: 'refused', silent: 'silent', unreachable: 'unreachable', rejected: 'rejected' },
  ...{ partitioned: 'partitioned', stopped: 'stopped', broken: 'broken', missing: 'missing' },
} as const satisfies { readonly [kind in Suspicion['kind']]: kind };

const claim = z.object({
  execution: text,
  incident: text,
  mode: z.enum(MODES),
  node: orNull(text),
  joiner: orNull(text),
  donor: orNull(text),
  // Absent in claims of earlier versions.
  launch: orNull(z.object({ replaces: orNull(text), subnetId: text, withoutDevice: orNull(text) })),
  claimedAtMs: number,
});
const suspicion = z.object({
  sinceMs: number,
  kind: z.enum(SUSPICIONS),
});
const fence = z.object({ atMs: number, execution: text });
const incidentSchema = z.object({ id: text, openedAtMs: number, node: orNull(text), diagnosis: text });
const sync = z.object({
  sets: z
    .array(z.object({ need: number.check(z.int(), z.gte(0)), standbys: z.array(text) }))
    .check(z.minLength(1, 'expected at least one set')),
  barrierLsn: orNull(lsn),
});
const state = z.object({
  epoch: z._default(number, 0),
  writer: orNull(text),
  writerVolume: orNull(text),
  maintenance: orNull(z.object({ node: text, by: text, sinceMs: number })),
  claim: orNull(claim),
  escalation: orNull(
    z.object({
      ...{ node: orNull(text), incident: text, attempts: number, atMs: number, reason: text },
      acknowledgedBy: z.exactOptional(text),
    }),
  ),
  incident: orNull(incidentSchema),
  sync: orNull(sync),
  position: orNull(z.object({ node: text, timeline: number, lsn, atMs: number })),
  accepted: orNull(z.object({ node: text, by: text, atMs: number })),
  // Absent in ledgers of earlier versions.
  newestTimeline: z._default(number, 0),
  lookBeganMs: orNull(number),
});
const brake = z.object({
  engaged: z._default(z.boolean(), false),
  ...{ reason: orNull(text), sinceMs: orNull(number), releasedAtMs: orNull(number) },
});
const entry = z.object({ atMs: number, who: text, what: text, why: text });
const failure = z.object({ cluster: text, node: text, atMs: number, knownSinceMs: z.exactOptional(number) });

/** @throws Error naming the item and what is wrong in it: a ledger that cannot be read is never taken for an empty one. */
function read<T>(what: string, schema: z.ZodMiniType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map((i) => `${i.path.join('.') || 'item'}: ${i.message}`).join('; ');
  throw new Error(`the ledger's ${what} is not readable (${wrong}): correct or delete that item`);
}

const prefixed = (item: Record<string, Plain>, prefix: string): readonly [string, Plain][] =>
  Object.entries(item).flatMap(([k, v]) => (k.startsWith(prefix) ? [[k.slice(prefix.length), v]] : []));

export function toLedger(cluster: string, item: Item | undefined): ClusterLedger {
  if (item === undefined) return EMPTY_LEDGER;
  const plain = fromItem(item);
  const byNode = <T>(what: string, prefix: string, schema: z.ZodMiniType<T>): Record<string, T> =>
    Object.fromEntries(
      prefixed(plain, prefix).map(([node, v]) => [node, read(`${what} of ${node} in cluster ${cluster}`, schema, v)]),
    );
  return {
    ...read(`state of cluster ${cluster}`, state, plain),
    suspicions: byNode('suspicion', suspicionOf(''), suspicion),
    fences: byNode('fence', fenceOf(''), fence),
    leftOver: byNode('left-over', leftOverOf(''), number),
  };
}

/** An unreadable brake throws, which stops whoever would have acted: it must not fail open. */
export function toBrake(item: Item | undefined): FleetBrake {
  if (item === undefined) return RELEASED_BRAKE;
  const found = read('fleet brake', brake, fromItem(item));
  return found.engaged ? found : { ...RELEASED_BRAKE, releasedAtMs: found.releasedAtMs };
}

/** In the order of their time, then of their key. */
export function toEntries(incident: string, item: Item | undefined): readonly IncidentEntry[] {
  return prefixed(fromItem(item ?? {}), entryOf(''))
    .map(([k, v]) => ({ k, line: read(`entry ${k} of incident ${incident}`, entry, v) }))
    .sort((a, b) => a.line.atMs - b.line.atMs || (a.k < b.k ? -1 : 1))
    .map(({ line }) => line);
}

export const toFailure = (item: Item): FleetFailure => read('failure', failure, fromItem(item));

export const toOpenIncident = (cluster: string, item: Item | undefined): OpenIncident =>
  read(`open incident of ${cluster}`, incidentSchema, fromItem(item ?? {})['incident']);
