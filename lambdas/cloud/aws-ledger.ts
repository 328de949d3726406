import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { GetItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import type { Plain } from './attribute-values.ts';
import { namesIn, toAttribute } from './attribute-values.ts';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import { takeClaim } from './ledger-claim.ts';
import type { Key, Update } from './ledger-items.ts';
import {
  brakeKey,
  entryOf,
  failureKey,
  fenceOf,
  incidentKey,
  leftOverOf,
  stateKey,
  suspicionOf,
  toBrake,
  toEntries,
  toFailure,
  toLedger,
  toOpenIncident,
} from './ledger-items.ts';
import { takeLaunch } from './ledger-launches.ts';
import { everyFailure, readBoth } from './ledger-reads.ts';
import { syncRefusal, syncUpdate } from './ledger-sync.ts';
import { Conflict } from './ports.ts';
import type { Clock, Ledger } from './ports.ts';

const FAILURE_KEPT_SECONDS = 24 * 3600;

/** The ledger in one DynamoDB table (`docs/architecture.md`). Errors as in `errors.ts`; failed conditions are Conflict. */
export function awsLedger(dynamodb: Lazy<DynamoDBClient>, table: string, clock: Clock): Ledger {
  /** One conditional write; null when its condition did not hold, else the item as it is now. */
  const update = async (u: Update): Promise<Record<string, AttributeValue> | null> => {
    const values = Object.entries(u.values ?? {}).map(([k, v]) => [k, toAttribute(v)] as const);
    try {
      const answer = await aws('dynamodb:UpdateItem', () =>
        dynamodb().send(
          new UpdateItemCommand({
            TableName: table,
            Key: u.key,
            UpdateExpression: u.set,
            ConditionExpression: u.condition,
            ExpressionAttributeNames: { ...namesIn(u.set, u.condition), ...u.names },
            ExpressionAttributeValues: values.length === 0 ? undefined : Object.fromEntries(values),
            ReturnValues: 'ALL_NEW',
          }),
        ),
      );
      return answer.Attributes ?? {};
    } catch (error) {
      if (isCode(error, 'ConditionalCheckFailedException')) return null;
      throw error;
    }
  };

  /** Sets one attribute of the cluster's state, or removes it. */
  const put = async (cluster: string, attribute: string, value: Plain): Promise<void> => {
    const names = { '#a': attribute };
    await update(
      value === null
        ? { key: stateKey(cluster), set: 'REMOVE #a', names }
        : { key: stateKey(cluster), set: 'SET #a = :v', names, values: { ':v': value } },
    );
  };

  return {
    async read(cluster) {
      const items = await readBoth(dynamodb, table, clock, [stateKey(cluster), brakeKey]);
      const find = (k: Key) => items.find((i) => i['pk']?.S === k.pk.S && i['sk']?.S === k.sk.S);
      return { cluster: toLedger(cluster, find(stateKey(cluster))), brake: toBrake(find(brakeKey)) };
    },

    async setWriter(cluster, epoch, writer, volume = null) {
      const written = await update({
        key: stateKey(cluster),
        set: 'SET #writer = :writer, #writerVolume = :volume, #epoch = :next REMOVE #accepted',
        condition: epoch === 0 ? 'attribute_not_exists(#epoch) OR #epoch = :epoch' : '#epoch = :epoch',
        values: { ':writer': writer, ':volume': volume, ':epoch': epoch, ':next': epoch + 1 },
      });
      if (written !== null) return epoch + 1;
      throw new Conflict(`cluster ${cluster} is no longer at epoch ${epoch}: observe again, then plan again`);
    },

    claim: (cluster, claim) => takeClaim(dynamodb, table, cluster, claim),

    async amendClaim(cluster, execution, known) {
      const plain = known.launch ? { ...known, launch: { ...known.launch } } : known;
      const amended = Object.entries(plain as Record<string, Plain | undefined>).filter(
        (e): e is [string, Plain] => e[1] !== undefined,
      );
      const written = await update({
        key: stateKey(cluster),
        // With nothing to add the condition is still asked: the caller learns whether it holds the claim.
        set:
          amended.length === 0
            ? 'SET #claim.#execution = :e'
            : `SET ${amended.map(([k]) => `#claim.#${k} = :${k}`).join(', ')}`,
        condition: '#claim.#execution = :e',
        values: { ':e': execution, ...Object.fromEntries(amended.map(([k, v]) => [`:${k}`, v])) },
      });
      if (written === null) throw new Conflict(`the claim on ${cluster} is no longer held by ${execution}: stop`);
    },

    async releaseClaim(cluster, execution) {
      // Null means that it is not ours (any more), which is what the caller wants.
      await update({
        key: stateKey(cluster),
        set: 'REMOVE #claim',
        condition: '#claim.#execution = :e',
        values: { ':e': execution },
      });
    },

    async setMaintenance(cluster, maintenance) {
      if (maintenance === null) return put(cluster, 'maintenance', null);
      const written = await update({
        key: stateKey(cluster),
        set: 'SET #maintenance = :m',
        condition:
          'attribute_not_exists(#claim) AND (attribute_not_exists(#maintenance) OR #maintenance.#node = :node)',
        values: { ':m': { ...maintenance }, ':node': maintenance.node },
      });
      if (written !== null) return;
      throw new Conflict(
        `${cluster} is claimed, or another of its nodes is in maintenance: look again, then ask again`,
      );
    },

    async setSync(cluster, expected, next, guard) {
      const written = await update(syncUpdate(cluster, expected, next, guard));
      if (written === null) throw new Conflict(syncRefusal(cluster, guard));
    },

    async notePosition(cluster, position) {
      // Null means that a later one is there: nothing to say to anybody.
      await update({
        key: stateKey(cluster),
        set: 'SET #position = :p',
        condition: 'attribute_not_exists(#position) OR #position.#atMs < :at',
        values: { ':p': { ...position }, ':at': position.atMs },
      });
    },

    async noteTimeline(cluster, timeline) {
      await update({
        key: stateKey(cluster),
        set: 'SET #newestTimeline = :t',
        condition: 'attribute_not_exists(#newestTimeline) OR #newestTimeline < :t',
        values: { ':t': timeline },
      });
    },

    async noteLook(cluster, beganMs) {
      await update({
        key: stateKey(cluster),
        set: 'SET #lookBeganMs = :at',
        condition: 'attribute_not_exists(#lookBeganMs) OR #lookBeganMs < :at',
        values: { ':at': beganMs },
      });
    },

    setAccepted: (cluster, accepted) => put(cluster, 'accepted', accepted && { ...accepted }),
    setSuspicion: (cluster, node, suspicion) => put(cluster, suspicionOf(node), suspicion && { ...suspicion }),
    setLeftOver: (cluster, node, toldAtMs) => put(cluster, leftOverOf(node), toldAtMs),

    async noteFence(cluster, node, fence) {
      const written = await update({
        key: stateKey(cluster),
        set: 'SET #f = :f',
        condition: '#claim.#execution = :e',
        names: { '#f': fenceOf(node) },
        values: { ':f': { ...fence }, ':e': fence.execution },
      });
      if (written === null) throw new Conflict(`the claim on ${cluster} is no longer held by ${fence.execution}: stop`);
    },

    forgetFence: (cluster, node) => put(cluster, fenceOf(node), null),

    setEscalation: (cluster, escalation) => put(cluster, 'escalation', escalation && { ...escalation }),

    async openIncident(cluster, incident) {
      const item = await update({
        key: stateKey(cluster),
        set: 'SET #incident = if_not_exists(#incident, :i)',
        values: { ':i': { ...incident } },
      });
      return toOpenIncident(cluster, item ?? undefined);
    },

    async closeIncident(cluster, incident) {
      await update({
        key: stateKey(cluster),
        set: 'SET #epoch = if_not_exists(#epoch, :zero) + :one REMOVE #incident',
        condition: '#incident.#id = :i',
        values: { ':i': incident, ':zero': 0, ':one': 1 },
      });
    },

    async record(cluster, incident, key, entry) {
      await update({
        key: incidentKey(cluster, incident),
        set: 'SET #k = if_not_exists(#k, :e)',
        names: { '#k': entryOf(key) },
        values: { ':e': { ...entry } },
      });
    },

    async incident(cluster, incident) {
      const answer = await aws('dynamodb:GetItem', () =>
        dynamodb().send(
          new GetItemCommand({ TableName: table, Key: incidentKey(cluster, incident), ConsistentRead: true }),
        ),
      );
      return toEntries(incident, answer.Item);
    },

    async noteFailure(failure) {
      await update({
        key: failureKey(failure),
        set: 'SET #cluster = :c, #node = :n, #atMs = :at, #knownSinceMs = :known, #expiresAt = :gone',
        // A late report does not make the failure older than it is known to be.
        condition: 'attribute_not_exists(#atMs) OR #atMs < :at',
        values: {
          ':c': failure.cluster,
          ':n': failure.node,
          ':at': failure.atMs,
          ':known': failure.knownSinceMs ?? failure.atMs,
          ':gone': Math.floor(failure.atMs / 1000) + FAILURE_KEPT_SECONDS,
        },
      });
    },

    async failuresSince(sinceMs) {
      const items = await everyFailure(dynamodb, table, sinceMs);
      return items.map(toFailure);
    },

    async engageBrake(reason, atMs) {
      // Already engaged: the first reason stays.
      await update({
        key: brakeKey,
        set: 'SET #engaged = :yes, #reason = :reason, #sinceMs = :at',
        condition: 'attribute_not_exists(#engaged) OR #engaged <> :yes',
        values: { ':yes': true, ':reason': reason, ':at': atMs },
      });
    },

    async releaseBrake(by, atMs) {
      await update({
        key: brakeKey,
        set: 'SET #engaged = :no, #releasedBy = :by, #releasedAtMs = :at',
        values: { ':no': false, ':by': by, ':at': atMs },
      });
    },

    takeLaunch: (turn) => takeLaunch(dynamodb, table, turn),
  };
}
