/**
 * What the endpoints should be, and the changes that make them so.
 *
 * | Node                                        | writer group     | healthy group                       |
 * | ------------------------------------------- | ---------------- | ----------------------------------- |
 * | the writer                                  | in               | as any other                        |
 * | serves (by its engine)                      | out              | in                                  |
 * | donor, nobody serves                        | out              | in                                  |
 * | suspect, unreachable by us, rejects probes  | out¹             | as it is                            |
 * | in maintenance, or being replaced by plan   | out, drained     | out, drained, if a healthy one stays |
 * | anything else (lost, starting, not synced)  | out, cut         | out, if one that serves stays       |
 * | not ours (no such instance, or other port)  | left alone, told | left alone, told                    |
 *
 * ¹ as a writer that is kept, it stays in.
 * While a workflow decides who the writer will be, all groups stay as they are.
 *
 * Order. In a writer group the old target leaves before the new one comes (safety rule 2: never two). In a healthy group
 * a target leaves first only when one that serves is in already (safety rule 1); otherwise the new one comes first. apply
 * stops a group's later changes when an earlier one fails, so that the order holds under failure too.
 */
import type { Change, Refusal } from '../model/change.ts';
import type { DnsView, Target, TargetGroupView } from '../model/view.ts';
import {
  inMaintenance,
  isDrained,
  isServing,
  isServingInNeed,
  isUnclear,
  nodeOf,
  ownerOf,
  rolledNode,
} from './situation.ts';
import type { Situation } from './situation.ts';
import type { WriterDecision } from './engine.ts';

export interface Routing {
  readonly writer: WriterDecision;
  readonly setWriter: readonly Change[];
  readonly groups: readonly Change[];
  readonly records: readonly Change[];
  readonly refusals: readonly Refusal[];
  /** Seconds until a drain under way is over, when there is one; or until a refused drain may be possible. */
  readonly waits: readonly { readonly seconds: number; readonly reason: string }[];
}

/** A change's worth of one endpoint. */
interface EndpointPlan {
  readonly changes: Change[];
  readonly refusals: Refusal[];
  readonly waits: { readonly seconds: number; readonly reason: string }[];
}

export function route(s: Situation): Routing {
  const writer = s.engine.decideWriter(s);
  const writerId = idOf(writer);
  const routed = writer.kind === 'wait' ? [] : byRoute(s.view.targetGroups);
  const groups = routed.map((g) => (g.route === 'writer' ? writerGroup(s, g, writerId, writer) : healthyGroup(s, g)));
  const foreign = s.view.targetGroups.flatMap((g) => foreignTargets(s, g).map((t) => foreignTarget(g, t)));
  const changed = groups.flatMap((g) => g.changes);
  const settled = s.view.targetGroups.filter((g) => !startsDrain(changed, g)).map((g) => drains(s, g));
  const records = s.view.dns.map((d) => record(s, d, writerId));
  return {
    writer,
    setWriter:
      writer.kind === 'move' ? [{ kind: 'SetWriter', from: writer.from, to: writer.to, reason: writer.reason }] : [],
    groups: [...groups, ...settled].flatMap((g) => g.changes),
    records: records.flatMap((r) => r.changes),
    refusals: [
      ...('refusal' in writer ? [writer.refusal] : []),
      ...[...groups, ...records].flatMap((g) => g.refusals),
      ...foreign,
    ],
    waits: [...groups, ...settled, ...records].flatMap((g) => g.waits),
  };
}

function idOf(writer: WriterDecision): string | null {
  switch (writer.kind) {
    case 'keep':
      return writer.node;
    case 'move':
      return writer.to;
    case 'nobody':
    case 'wait':
      return null;
  }
}

const startsDrain = (changes: readonly Change[], g: TargetGroupView): boolean =>
  changes.some((c) => c.kind === 'Deregister' && c.groupArn === g.arn && c.drainSeconds > 0);

const byRoute = (groups: readonly TargetGroupView[]): readonly TargetGroupView[] =>
  [...groups].sort((a, b) => Number(b.route === 'writer') - Number(a.route === 'writer'));

/**
 * Ours are targets on the engine's port that are instances of the cluster, that the ledger knows, or that are nobody's any more since
 * EC2 has forgotten them. All others are left alone (safety rule 8).
 */
function isOurs(s: Situation, target: Target): boolean {
  if (target.port !== s.view.spec.engine.port) return false;
  const { writer, suspicions, incident, escalation, claim } = s.view.ledger;
  return (
    nodeOf(s, target.id) !== undefined ||
    [writer, incident?.node, escalation?.node, claim?.node, claim?.joiner].includes(target.id) ||
    s.view.forgotten.includes(target.id) ||
    target.id in suspicions
  );
}

/** What the balancer would still send connections to. */
const present = (group: TargetGroupView): readonly Target[] => group.targets.filter((t) => t.state !== 'draining');

export const foreignTargets = (s: Situation, group: TargetGroupView): readonly Target[] =>
  group.targets.filter((t) => !isOurs(s, t));

const foreignTarget = (group: TargetGroupView, t: Target): Refusal => ({
  code: 'REFUSED_FOREIGN',
  node: t.id,
  reason: `${t.id}:${t.port} in ${shortName(group.arn)} is not an instance of this cluster on its port: left alone`,
});

function writerGroup(s: Situation, g: TargetGroupView, writer: string | null, decision: WriterDecision): EndpointPlan {
  const plan: EndpointPlan = { changes: [], refusals: [], waits: [] };
  if (writer === null) return plan;
  const ours = present(g).filter((t) => isOurs(s, t));
  const isIn = ours.some((t) => t.id === writer);
  if (!isIn && isUnclear(s, writer)) return plan;
  const why = decision.kind === 'move' ? decision.reason : `the writer is ${writer}`;
  const leaving = [...ours.filter((t) => t.id !== writer), ...unlisted(s, g, decision)];
  plan.changes.push(...deregistrations(s, g, leaving, why));
  if (!isIn) plan.changes.push(registration(s, g, [writer], why));
  return plan;
}

/**
 * The writer of until now, when the balancer does not list it: the answer may be of before it was registered, and what does not exist is
 * deregistered successfully. https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html
 */
function unlisted(s: Situation, g: TargetGroupView, decision: WriterDecision): readonly Target[] {
  if (decision.kind !== 'move' || decision.from === null || g.targets.some((t) => t.id === decision.from)) return [];
  return [{ id: decision.from, port: s.view.spec.engine.port, state: 'unused' }];
}

function healthyGroup(s: Situation, g: TargetGroupView): EndpointPlan {
  const plan: EndpointPlan = { changes: [], refusals: [], waits: [] };
  const wanted = wantedReaders(s);
  const ours = present(g).filter((t) => isOurs(s, t));
  const unwanted = ours.filter((t) => !wanted.includes(t.id) && !isUnclear(s, t.id));
  if (wanted.length === 0) {
    plan.refusals.push(
      ...lastOnes(g, unwanted, 'no node serves, so that what is routed stays: stale rather than nothing'),
    );
    return plan;
  }
  const missing = wanted.filter((id) => !ours.some((t) => t.id === id));
  const staying = ours.filter((t) => wanted.includes(t.id));
  const drainable = staying.some((t) => t.state === 'healthy' || t.state === 'unused');
  const alive = unwanted.filter((t) => isAlive(s, t.id));
  const leaving = drainable ? unwanted : unwanted.filter((t) => !alive.includes(t));
  if (!drainable && alive.length > 0) {
    plan.refusals.push(...lastOnes(g, alive, 'the balancer finds none of those that would stay healthy yet'));
    plan.waits.push({ seconds: 2, reason: `another target of ${shortName(g.arn)} has to become healthy` });
  }
  // An old answer may show as the only one to stay whom a look before this has taken out: what is there already is registered in vain.
  const again = leaving.length > 0 && staying.length === 1 ? staying.map((t) => t.id) : [];
  const named = [...missing, ...again].sort();
  const coming = named.length > 0 ? [registration(s, g, named, s.engine.servingReason)] : [];
  const going = deregistrations(s, g, leaving, 'it does not serve');
  plan.changes.push(...(staying.length > 1 ? [...going, ...coming] : [...coming, ...going]));
  return plan;
}

/** Ids of the nodes that reads go to: who serves; in need, donors. A node that is drained is never wanted. */
function wantedReaders(s: Situation): readonly string[] {
  const free = s.view.nodes.filter((n) => !isDrained(s, n.instance.id));
  const serving = free.filter((n) => isServing(s, n));
  return (serving.length > 0 ? serving : free.filter((n) => isServingInNeed(s, n))).map((n) => n.instance.id).sort();
}

const lastOnes = (g: TargetGroupView, targets: readonly Target[], why: string): Refusal[] =>
  targets.map((t) => ({
    code: 'REFUSED_LAST_HEALTHY_TARGET',
    node: t.id,
    reason: `${t.id} stays in ${shortName(g.arn)}: ${why}`,
  }));

/** Connections to it still work, so that it leaves by a drain instead of a cut. */
function isAlive(s: Situation, id: string): boolean {
  const node = nodeOf(s, id);
  return node !== undefined && isServingInNeed(s, node);
}

function deregistrations(s: Situation, g: TargetGroupView, targets: readonly Target[], why: string): Change[] {
  const of = (alive: boolean) =>
    targets.filter((t) => isAlive(s, t.id) === alive).map(({ id, port }) => ({ id, port }));
  return [
    { targets: of(false), drainSeconds: 0 },
    { targets: of(true), drainSeconds: g.drainSeconds },
  ]
    .filter((d) => d.targets.length > 0)
    .map((d) => ({
      kind: 'Deregister' as const,
      groupArn: g.arn,
      ...d,
      reason: `${d.targets.map((t) => leavingReason(s, t.id)).join(', ')}: ${why}`,
    }));
}

function leavingReason(s: Situation, id: string): string {
  if (inMaintenance(s, id)) return `${id} is in maintenance`;
  if (isDrained(s, id)) return `${id} is replaced by plan`;
  if (nodeOf(s, id) === undefined) return `${id} is gone from EC2`;
  return `${id} is ${s.codeOf(id) ?? 'no longer the writer'}`;
}

const registration = (s: Situation, g: TargetGroupView, ids: readonly string[], why: string): Change => ({
  kind: 'Register',
  groupArn: g.arn,
  targets: ids.map((id) => ({ id, port: s.view.spec.engine.port })),
  reason: `${ids.join(', ')}: ${why}`,
});

/**
 * While a node is drained: waits for that, then puts the group's delay back to 0. Kept as a function of what is there (the
 * maintenance flag or a planned replacement's claim, and no draining target), since no memory survives the Lambda.
 */
function drains(s: Situation, g: TargetGroupView): EndpointPlan {
  const node = s.view.ledger.maintenance?.node ?? rolledNode(s);
  if (node === null || g.drainSeconds === 0) return { changes: [], refusals: [], waits: [] };
  const reason = `${node} drains from ${shortName(g.arn)}`;
  if (g.targets.some((t) => t.state === 'draining' && isOurs(s, t))) {
    return { changes: [], refusals: [], waits: [{ seconds: g.drainSeconds + 2, reason }] };
  }
  if (g.targets.some((t) => t.id === node)) return { changes: [], refusals: [], waits: [] };
  return {
    changes: [{ kind: 'SettleDrain', groupArn: g.arn, reason: `${node} has left ${shortName(g.arn)}` }],
    refusals: [],
    waits: [],
  };
}

/** A record is ours when our TXT record stands beside it, and free when nothing is there at all. */
export const isForeignRecord = (s: Situation, dns: DnsView): boolean =>
  dns.unread === undefined && dns.owner !== ownerOf(s.view) && (dns.owner !== null || dns.values.length > 0);

function record(s: Situation, dns: DnsView, writer: string | null): EndpointPlan {
  const plan: EndpointPlan = { changes: [], refusals: [], waits: [] };
  if (dns.unread !== undefined) {
    return { ...plan, waits: [{ seconds: 10, reason: `${dns.name} could not be read: ${dns.unread.why}` }] };
  }
  if (isForeignRecord(s, dns)) {
    const owner = dns.owner === null ? 'nobody (no TXT record beside it)' : JSON.stringify(dns.owner);
    const reason = `${dns.name} (${dns.values.join(', ')}) is owned by ${owner}, not by ${JSON.stringify(ownerOf(s.view))}: left alone`;
    return { ...plan, refusals: [{ code: 'REFUSED_FOREIGN', reason }] };
  }
  const address = writer === null ? null : (nodeOf(s, writer)?.instance.privateIp ?? null);
  if (address === null) return plan;
  const right = dns.values.length === 1 && dns.values[0] === address && dns.recordTtlSeconds === dns.ttlSeconds;
  if (right && dns.owner !== null) return plan;
  const reason = `${dns.name} says ${dns.values.join(', ') || 'nothing'}; the writer is ${writer} at ${address}`;
  const { zoneId, name, ttlSeconds } = dns;
  plan.changes.push({ kind: 'UpsertRecord', zoneId, name, value: address, ttlSeconds, reason });
  return plan;
}

/** `targetgroup/orders-writer/…` as `orders-writer`. */
export const shortName = (arn: string): string => arn.split('/')[1] ?? arn;
