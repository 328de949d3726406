/**
 * A cluster's situation as a database administrator would jot it down, filled in to a whole view. Nodes are letters: `a` is
 * instance `i-0000000000000000a` at 10.0.0.10 in the first zone, and so on. What is not said is as in a healthy cluster of
 * three: every node Synced and in the read group, `a` the writer.
 */
import { EMPTY_LEDGER, MISSING } from '../../../lambdas/model/ledger.ts';
import type { ClusterLedger, Maintenance, RecoveryMode } from '../../../lambdas/model/ledger.ts';
import type { GaleraState, GaleraStatus } from '../../../lambdas/model/galera.ts';
import type { Change, Plan, Refusal } from '../../../lambdas/model/change.ts';
import type { QuorumSet } from '../../../lambdas/model/quorum.ts';
import type { Diagnosis } from '../../../lambdas/model/diagnosis.ts';
import { INCIDENT_TAG, REPLACES_TAG } from '../../../lambdas/model/spec.ts';
import type { ClusterSpec } from '../../../lambdas/model/spec.ts';
import type {
  ClusterView,
  DnsView,
  ExecutionState,
  InstanceState,
  Node,
  Probe,
  Target,
} from '../../../lambdas/model/view.ts';
import type { TargetState } from '../../../lambdas/model/view.ts';
import { READER_GROUP, RECORD_NAME, STATE_UUID, WRITER_GROUP, ZONE_ID, aSpec } from '../../fakes/index.ts';

export const NOW_MS = Date.UTC(2026, 0, 15, 2, 0, 0);
const PORT = 3306;

/** What the probe found: a Galera state, an answer from outside the primary component, or a failure. */
export type Says = GaleraState | 'Non-Primary' | 'refused' | 'silent' | 'unreachable' | 'rejected';

export interface NodeNote {
  /** EC2 describes no such instance. */
  readonly absent?: boolean;
  readonly ec2?: InstanceState;
  readonly says?: Says;
  readonly readOnly?: boolean;
  readonly notReady?: boolean;
  /** Whom it lists as members; everybody who is in the primary component unless said. */
  readonly members?: string;
  readonly stateUuid?: string;
  readonly replaces?: string;
  readonly incident?: string;
  readonly launchedHoursAgo?: number;
  /** The ledger's suspicion of it: since when, and of what (as the probe failed unless said). */
  readonly suspectForSeconds?: number;
  readonly suspectOf?: ClusterLedger['suspicions'][string]['kind'];
  /** A workflow noted that it stops it by force. */
  readonly fencedHoursAgo?: number;
  /** People were told that it is left over. */
  readonly toldHoursAgo?: number;
}

type Noted = Pick<NodeNote, 'suspectForSeconds' | 'suspectOf' | 'fencedHoursAgo' | 'toldHoursAgo'> & {
  readonly says?: string;
};

export interface Scenario {
  readonly about?: string;
  readonly policy?: ClusterSpec['policy'];
  readonly specNodes?: number;
  readonly nodes?: Readonly<Record<string, NodeNote>>;
  readonly writer?: string | null;
  /** Targets, space-separated: `a`, `b/draining`, `c/unhealthy`, `x:3307`. */
  readonly writerGroup?: string;
  readonly readGroup?: string;
  /** Letters of nodes that EC2 knows nothing of any more, space-separated. */
  readonly forgotten?: string;
  readonly dns?: { readonly says?: string; readonly owner?: string | null; readonly ttl?: number };
  readonly maintenance?: string;
  readonly claim?: {
    readonly mode: RecoveryMode;
    readonly node?: string;
    readonly joiner?: string;
    readonly donor?: string;
    readonly execution?: ExecutionState;
    readonly forSeconds?: number;
  };
  readonly brake?: string;
  readonly escalation?: {
    readonly node?: string;
    readonly forSeconds: number;
    readonly attempts?: number;
    readonly reason?: string;
  };
  /** The clock of a place that no instance explains. */
  readonly missingForSeconds?: number;
  readonly incident?: { readonly node?: string; readonly diagnosis?: string; readonly forSeconds?: number };
}

export const forgottenIds = (text = ''): readonly string[] => text.split(' ').filter(Boolean).map(idOf);

export const idOf = (letter: string): string => (letter.length === 1 ? `i-${letter.padStart(17, '0')}` : letter);
export const letterOf = (text: string): string => text.replaceAll(/i-0{16}([0-9a-z])/g, '$1');
export const addressOf = (letter: string): string => `10.0.0.${parseInt(letter, 36)}`;
export const ago = (seconds: number): number => NOW_MS - seconds * 1000;

export function viewOf(s: Scenario): ClusterView {
  const spec = aSpec({ policy: s.policy ?? 'HEAL', nodes: s.specNodes ?? 3 });
  const notes = s.nodes ?? {};
  const letters = [...new Set(['a', 'b', 'c', ...Object.keys(notes)])].filter((l) => notes[l]?.absent !== true).sort();
  const all = new Map(letters.map((l) => [l, notes[l] ?? {}]));
  const writer = s.writer === undefined ? 'a' : s.writer;
  const inside = letters.filter((l) => isInside(all.get(l) ?? {}));
  return {
    spec,
    atMs: NOW_MS,
    nodes: letters.map((l, i) => nodeOf(l, i, all.get(l) ?? {}, inside)),
    targetGroups: [
      { arn: WRITER_GROUP, route: 'writer', drainSeconds: 10, targets: targets(s.writerGroup ?? writer ?? '') },
      { arn: READER_GROUP, route: 'healthy', drainSeconds: 10, targets: targets(s.readGroup ?? 'a b c') },
    ],
    forgotten: forgottenIds(s.forgotten),
    dns: [dnsOf(s, writer)],
    ledger: ledgerOf(s, all, writer),
    brake: { engaged: s.brake !== undefined, reason: s.brake ?? null, sinceMs: s.brake === undefined ? null : ago(60) },
    claimExecution: s.claim === undefined ? null : (s.claim.execution ?? 'RUNNING'),
  };
}

const STATES: readonly string[] = [
  'Undefined',
  'Joining',
  'Donor/Desynced',
  'Joined',
  'Synced',
] satisfies GaleraState[];
const isInside = (n: NodeNote): boolean => (n.ec2 ?? 'running') === 'running' && STATES.includes(n.says ?? 'Synced');

function nodeOf(letter: string, index: number, n: NodeNote, inside: readonly string[]): Node {
  const gone = n.ec2 === 'terminated';
  return {
    instance: {
      id: idOf(letter),
      state: n.ec2 ?? 'running',
      zone: `eu-west-1${'abc'[index % 3]}`,
      subnetId: gone ? null : `subnet-0000000000000000${index % 3}`,
      privateIp: gone ? null : addressOf(letter),
      launchedAtMs: ago((n.launchedHoursAgo ?? 100) * 3600),
      tags: {
        'rejoin:cluster': 'orders',
        ...(n.replaces === undefined ? {} : { [REPLACES_TAG]: idOf(n.replaces) }),
        ...(n.incident === undefined ? {} : { [INCIDENT_TAG]: n.incident }),
      },
      volumes: [],
    },
    probe: probeOf(letter, n, inside),
  };
}

function probeOf(letter: string, n: NodeNote, inside: readonly string[]): Probe {
  const says = n.says ?? 'Synced';
  if ((n.ec2 ?? 'running') !== 'running') return { kind: 'skipped', atMs: NOW_MS, detail: `EC2 says ${n.ec2 ?? ''}` };
  if (says === 'refused' || says === 'silent' || says === 'unreachable' || says === 'rejected') {
    return { kind: says, atMs: NOW_MS, tookMs: says === 'refused' ? 1 : 2000, detail: `${says} in this scenario` };
  }
  const members = (n.members?.split(' ') ?? (says === 'Non-Primary' ? [letter] : inside)).map(addressOf);
  const status: GaleraStatus = {
    engine: 'galera',
    ready: says !== 'Non-Primary' && says !== 'Joining' && n.notReady !== true,
    state: says === 'Non-Primary' ? 'Undefined' : says,
    component: says === 'Non-Primary' ? 'Non-Primary' : 'Primary',
    clusterSize: members.length,
    viewId: 3,
    stateUuid: n.stateUuid ?? STATE_UUID,
    seqno: 1000,
    members,
    nodeName: idOf(letter),
    readOnly: n.readOnly ?? false,
  };
  return { kind: 'answered', atMs: NOW_MS, tookMs: 3, status };
}

export const targets = (text: string, standardPort = PORT): Target[] =>
  text
    .split(' ')
    .filter((t) => t !== '')
    .map((t) => {
      const [, letter = '', port, state] = /^([^:/]+)(?::(\d+))?(?:\/(.+))?$/.exec(t) ?? [];
      return { id: idOf(letter), port: Number(port ?? standardPort), state: (state ?? 'healthy') as TargetState };
    });

export function dnsOf(s: Pick<Scenario, 'dns'>, writer: string | null): DnsView {
  const says = s.dns?.says ?? writer ?? '';
  const values = says === '' ? [] : [says.includes('.') ? says : addressOf(says)];
  const owner = s.dns?.owner === undefined ? (values.length === 0 ? null : 'orders') : s.dns.owner;
  const recordTtlSeconds = values.length === 0 ? null : (s.dns?.ttl ?? 5);
  return { zoneId: ZONE_ID, name: RECORD_NAME, ttlSeconds: 5, values, recordTtlSeconds, owner };
}

export function ledgerOf(
  s: Pick<Scenario, 'maintenance' | 'claim' | 'escalation' | 'incident' | 'missingForSeconds'>,
  nodes: ReadonlyMap<string, Noted>,
  writer: string | null,
): ClusterLedger {
  const maintenance: Maintenance | null =
    s.maintenance === undefined ? null : { node: idOf(s.maintenance), by: 'ada', sinceMs: ago(60) };
  const named = (letter: string | undefined): string | null => (letter === undefined ? null : idOf(letter));
  const incident = `orders-${named(s.incident?.node) ?? 'cluster'}-e4`;
  const suspicions = [...nodes].flatMap(([letter, n]) => {
    if (n.suspectForSeconds === undefined) return [];
    const kind = n.suspectOf ?? (n.says as 'refused');
    return [[idOf(letter), { sinceMs: ago(n.suspectForSeconds), kind }] as const];
  });
  const missing = s.missingForSeconds;
  if (missing !== undefined) suspicions.push([MISSING, { sinceMs: ago(missing), kind: 'missing' }]);
  const fences = [...nodes].flatMap(([letter, { fencedHoursAgo: hours }]) =>
    hours === undefined ? [] : [[idOf(letter), { atMs: ago(hours * 3600), execution: 'execution:earlier' }] as const],
  );
  const leftOver = [...nodes].flatMap(([letter, { toldHoursAgo: hours }]) =>
    hours === undefined ? [] : [[idOf(letter), ago(hours * 3600)] as const],
  );
  return {
    ...EMPTY_LEDGER,
    epoch: 7,
    writer: writer === null ? null : idOf(writer),
    maintenance,
    claim: s.claim
      ? {
          execution: 'execution:orders-e4',
          incident,
          mode: s.claim.mode,
          node: named(s.claim.node),
          joiner: named(s.claim.joiner),
          donor: named(s.claim.donor),
          launch: null,
          claimedAtMs: ago(s.claim.forSeconds ?? 30),
        }
      : null,
    suspicions: Object.fromEntries(suspicions),
    fences: Object.fromEntries(fences),
    leftOver: Object.fromEntries(leftOver),
    escalation: s.escalation
      ? {
          node: named(s.escalation.node),
          incident,
          attempts: s.escalation.attempts ?? 1,
          atMs: ago(s.escalation.forSeconds),
          reason: s.escalation.reason ?? 'SeedFailed',
        }
      : null,
    incident: s.incident
      ? {
          id: incident,
          openedAtMs: ago(s.incident.forSeconds ?? 60),
          node: named(s.incident.node),
          diagnosis: s.incident.diagnosis ?? 'NODE_TERMINATED',
        }
      : null,
  };
}

/** Diagnoses as `NODE_TERMINATED c`. */
export const shortDiagnoses = (all: readonly Diagnosis[]): string[] =>
  all.map((d) => (d.node === undefined ? d.code : `${d.code} ${letterOf(d.node)}`));

export const shortRefusals = (all: readonly Refusal[]): string[] =>
  all.map((r) => (r.node === undefined ? r.code : `${r.code} ${letterOf(r.node)}`));

export const shortChanges = (p: Plan): string[] => p.changes.map(shortChange);

export const shortOutcome = (p: Plan): string =>
  p.outcome.kind === 'requeueAfter' ? `again in ${p.outcome.seconds} s` : p.outcome.kind;

const group = (arn: string): string => (arn === WRITER_GROUP ? 'writer group' : 'read group');
const letters = (some: readonly { readonly id: string }[]): string => some.map((t) => letterOf(t.id)).join(' ');

const shortSlot = (name: string): string => letterOf(name.replaceAll('_', '-'));
const shortSet = (set: QuorumSet): string =>
  set.need === 0 ? 'nobody' : `${set.need} of ${set.standbys.map(letterOf).join(' ')}`;

function shortChange(c: Change): string {
  switch (c.kind) {
    case 'SetWriter':
      return `writer ${c.from === null ? 'nobody' : letterOf(c.from)} -> ${letterOf(c.to)}`;
    case 'Deregister':
      return `${c.drainSeconds === 0 ? 'cut' : `drain ${c.drainSeconds} s`} ${letters(c.targets)} from the ${group(c.groupArn)}`;
    case 'Register':
      return `register ${letters(c.targets)} with the ${group(c.groupArn)}`;
    case 'SettleDrain':
      return `settle the ${group(c.groupArn)}`;
    case 'UpsertRecord':
      return `dns -> ${parseInt(c.value.split('.')[3] ?? '', 10).toString(36)}`;
    case 'OpenIncident':
      return `open ${letterOf(c.incident)}: ${c.diagnosis}`;
    case 'CloseIncident':
      return `close ${letterOf(c.incident)}`;
    case 'ReleaseClaim':
      return `release the claim${c.escalation ? `, attempt ${c.escalation.attempts} failed` : ''}`;
    case 'StartRecovery':
      return `start ${letterOf(c.executionName)}${c.accept === undefined ? '' : `, accepting ${letterOf(c.accept)}`}`;
    case 'SetSync':
      return `ledger ${c.to.sets.map(shortSet).join(' | ')}${c.to.barrierLsn === null ? '' : ` since ${c.to.barrierLsn}`}; ${c.setting === null ? 'the setting stays' : `set ${letterOf(c.node)} to ${letterOf(c.setting.to) || 'nobody'}`}`;
    case 'SetSlots':
      return `slots on ${letterOf(c.node)}:${[...c.create.map((x) => ` +${shortSlot(x)}`), ...c.drop.map((x) => ` -${shortSlot(x)}`)].join('')}`;
    case 'Follow':
      return `${letterOf(c.node)} follows ${letterOf(c.primary)}`;
    case 'Forget':
      return `forget ${c.what === 'fence' ? 'the fence' : 'the telling'} of ${letterOf(c.node)}`;
    case 'NoteSuspicion':
      return c.suspicion === null ? `trust ${letterOf(c.node)}` : `suspect ${letterOf(c.node)}: ${c.suspicion.kind}`;
  }
}
