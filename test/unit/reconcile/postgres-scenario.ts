/**
 * A PostgreSQL cluster's situation as a database administrator would jot it down, filled in to a whole view. Nodes are letters
 * as in `scenario.ts`. What is not said is as in a healthy cluster of three with durability `quorum`: `a` is the primary on
 * timeline 1, `b` and `c` stream from it, have slots, and are the set that commits wait for.
 */
import type { ClusterLedger } from '../../../lambdas/model/ledger.ts';
import type { AttachedStandby, PostgresStatus, ReplicationSlot } from '../../../lambdas/model/postgres.ts';
import { synchronousStandbyNames } from '../../../lambdas/model/quorum.ts';
import type { QuorumSet } from '../../../lambdas/model/quorum.ts';
import { slotOf } from '../../../lambdas/model/postgres.ts';
import { INCIDENT_TAG, REPLACES_TAG } from '../../../lambdas/model/spec.ts';
import type { PostgresEngine } from '../../../lambdas/model/spec.ts';
import type { ClusterView, Node, Probe } from '../../../lambdas/model/view.ts';
import { READER_GROUP, WRITER_GROUP, aSpec } from '../../fakes/index.ts';
import { forgottenIds, NOW_MS, addressOf, ago, dnsOf, idOf, ledgerOf, targets } from './scenario.ts';
import type { NodeNote, Scenario } from './scenario.ts';

export const POSTGRES_PORT = 5432;
const LSN = '0/5000000';

export interface PostgresNote extends Omit<NodeNote, 'says' | 'readOnly' | 'notReady' | 'members' | 'stateUuid'> {
  /** What it answers as, or how the probe failed. The writer is the primary unless said, all others standbys. */
  readonly says?: 'primary' | 'standby' | 'refused' | 'silent' | 'unreachable' | 'rejected';
  readonly timeline?: number;
  readonly lsn?: string;
  readonly replayed?: string;
  /** Whom a standby is told to follow; the writer unless said. */
  readonly follows?: string;
  /** The state of its WAL receiver, or `none`; `streaming` while it follows a writer that EC2 has not ended. */
  readonly stream?: string;
  readonly heardSecondsAgo?: number;
  /** It holds another database. */
  readonly foreign?: boolean;
  /** A primary's streams: `b c/catchup c@0/4FFFFFF`; every standby that streams from it unless said. */
  readonly streams?: string;
  /** Its slots: `b c/lost`, `b/active`; active ones for every replica on the writer unless said. */
  readonly slots?: string;
  /** Its `synchronous_standby_names`: `1 of b c`, `nobody`, or any text; what the ledger says last unless said. */
  readonly waitsFor?: string;
  /** Free and all MiB of its data disk. */
  readonly diskMiB?: readonly [number, number];
}

export interface PostgresScenario extends Omit<Scenario, 'nodes'> {
  readonly engine: 'postgres';
  readonly durability?: PostgresEngine['durability'];
  readonly acknowledgements?: number;
  readonly slotsBy?: PostgresEngine['slots'];
  readonly nodes?: Readonly<Record<string, PostgresNote>>;
  /** The ledger's sets: `1 of b c`; null: never set. */
  readonly sync?: readonly string[] | null;
  readonly barrier?: string;
  /** An archive is declared. */
  readonly archive?: true;
  readonly accepted?: { readonly node: string; readonly forSeconds: number };
}

export function postgresViewOf(s: PostgresScenario): ClusterView {
  const notes = s.nodes ?? {};
  const letters = [...new Set(['a', 'b', 'c', ...Object.keys(notes)])].filter((l) => notes[l]?.absent !== true).sort();
  const all = new Map(letters.map((l) => [l, notes[l] ?? {}]));
  const writer = s.writer === undefined ? 'a' : s.writer;
  const world: World = { s, all, writer };
  return {
    spec: aSpec({
      policy: s.policy ?? 'HEAL',
      nodes: s.specNodes ?? 3,
      engine: engineFor(s),
      ...(s.archive === true && {
        archive: { bucket: 'archive', rpoSeconds: 10, retentionDays: 35, baseBackupSeconds: 86_400 },
      }),
    }),
    atMs: NOW_MS,
    nodes: letters.map((l, i) => nodeFor(world, l, i)),
    forgotten: forgottenIds(s.forgotten),
    targetGroups: [
      {
        arn: WRITER_GROUP,
        route: 'writer',
        drainSeconds: 10,
        targets: targets(s.writerGroup ?? writer ?? '', POSTGRES_PORT),
      },
      {
        arn: READER_GROUP,
        route: 'healthy',
        drainSeconds: 10,
        targets: targets(s.readGroup ?? 'a b c', POSTGRES_PORT),
      },
    ],
    dns: [dnsOf(s, writer)],
    ledger: ledgerFor(world),
    brake: { engaged: s.brake !== undefined, reason: s.brake ?? null, sinceMs: s.brake === undefined ? null : ago(60) },
    claimExecution: s.claim === undefined ? null : (s.claim.execution ?? 'RUNNING'),
  };
}

const engineFor = (s: PostgresScenario): PostgresEngine => ({
  kind: 'postgres',
  port: POSTGRES_PORT,
  durability: s.durability ?? 'quorum',
  ...(s.acknowledgements === undefined ? {} : { acknowledgements: s.acknowledgements }),
  maxLagBytes: 0x10000,
  slots: s.slotsBy ?? 'physical',
  replicationUser: 'replicator',
});

interface World {
  readonly s: PostgresScenario;
  readonly all: ReadonlyMap<string, PostgresNote>;
  readonly writer: string | null;
}

export const setOf = (text: string): QuorumSet => {
  const [, need, list] = /^(\d+) of (.+)$/.exec(text) ?? [];
  return need === undefined || list === undefined
    ? { need: 0, standbys: [] }
    : { need: Number(need), standbys: list.split(' ').map(idOf) };
};

/** `1 of b c` as the setting's text; any other text is as a person set it. */
const settingOf = (text: string): string =>
  text === 'nobody' || /^\d+ of /.test(text) ? synchronousStandbyNames(setOf(text)) : text;

const syncOf = ({ s }: World): readonly string[] | null =>
  s.sync === undefined ? (s.durability === 'async' ? null : ['1 of b c']) : s.sync;

function ledgerFor(world: World): ClusterLedger {
  const { s, all, writer } = world;
  const sets = syncOf(world);
  return {
    ...ledgerOf(s, all, writer),
    sync: sets === null ? null : { sets: sets.map(setOf), barrierLsn: s.barrier ?? null },
    accepted: s.accepted ? { node: idOf(s.accepted.node), by: 'ada', atMs: ago(s.accepted.forSeconds) } : null,
  };
}

const isUp = (n: PostgresNote | undefined): boolean => n !== undefined && (n.ec2 ?? 'running') === 'running';
const roleOf = ({ writer }: World, letter: string, n: PostgresNote): string =>
  n.says ?? (letter === writer ? 'primary' : 'standby');
const followedBy = ({ writer }: World, n: PostgresNote): string => n.follows ?? writer ?? 'nobody';

/** The state of the WAL receiver as the scenario says, or as it would be. */
function streamOf(world: World, letter: string, n: PostgresNote): string {
  if (roleOf(world, letter, n) !== 'standby' || !isUp(n)) return 'none';
  const up = followedBy(world, n);
  return n.stream ?? (isUp(world.all.get(up)) && up !== 'nobody' ? 'streaming' : 'none');
}

function nodeFor(world: World, letter: string, index: number): Node {
  const n = world.all.get(letter) ?? {};
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
    probe: probeFor(world, letter, n),
  };
}

function probeFor(world: World, letter: string, n: PostgresNote): Probe {
  if (!isUp(n)) return { kind: 'skipped', atMs: NOW_MS, detail: `EC2 says ${n.ec2 ?? ''}` };
  const role = roleOf(world, letter, n);
  if (role === 'refused' || role === 'silent' || role === 'unreachable' || role === 'rejected') {
    return { kind: role, atMs: NOW_MS, tookMs: role === 'refused' ? 1 : 1000, detail: `${role} in this scenario` };
  }
  return { kind: 'answered', atMs: NOW_MS, tookMs: 3, status: statusFor(world, letter, n, role === 'primary') };
}

function statusFor(world: World, letter: string, n: PostgresNote, isPrimary: boolean): PostgresStatus {
  const up = followedBy(world, n);
  const stream = streamOf(world, letter, n);
  const timeline = n.timeline ?? 1;
  return {
    engine: 'postgres',
    inRecovery: !isPrimary,
    systemId: n.foreign === true ? '7000000000000000999' : '7000000000000000001',
    timeline,
    lsn: n.lsn ?? LSN,
    replayLsn: isPrimary ? null : (n.replayed ?? n.lsn ?? LSN),
    replayLagSeconds: isPrimary ? null : 0,
    receiver:
      stream === 'none'
        ? null
        : {
            status: stream,
            senderHost: addressOf(up),
            slot: slotOf(idOf(letter)),
            lastMessageAgoMs: (n.heardSecondsAgo ?? 0.1) * 1000,
            timeline,
          },
    followsHost: isPrimary || up === 'nobody' ? null : addressOf(up),
    standbys: isPrimary ? standbysFor(world, letter, n) : [],
    slots: slotsFor(world, letter, n, isPrimary),
    synchronousStandbyNames: isPrimary ? settingOf(n.waitsFor ?? syncOf(world)?.at(-1) ?? 'nobody') : '',
    disk:
      n.diskMiB === undefined ? null : { availableBytes: n.diskMiB[0] * 2 ** 20, totalBytes: n.diskMiB[1] * 2 ** 20 },
  };
}

function standbysFor(world: World, letter: string, n: PostgresNote): AttachedStandby[] {
  const all = [...world.all].filter(([l, x]) => l !== letter && followedBy(world, x) === letter);
  const streams = all.filter(([l, x]) => streamOf(world, l, x) === 'streaming').map(([l]) => l);
  return (n.streams?.split(' ') ?? streams)
    .filter((t) => t !== '')
    .map((text) => {
      const [, who = '', flushed, state] = /^([^@/]+)(?:@([0-9A-F]+\/[0-9A-F]+))?(?:\/([a-z]+))?$/.exec(text) ?? [];
      const flushLsn = flushed ?? world.all.get(who)?.lsn ?? LSN;
      return { node: idOf(who), state: state ?? 'streaming', syncState: 'quorum', flushLsn, replayLsn: flushLsn };
    });
}

function slotsFor(world: World, letter: string, n: PostgresNote, isPrimary: boolean): ReplicationSlot[] {
  const usual = [...world.all].filter(([l, x]) => l !== letter && x.ec2 !== 'terminated').map(([l]) => `${l}/active`);
  const held = letter === world.writer && isPrimary && world.s.slotsBy !== 'none' ? usual.join(' ') : '';
  return (n.slots ?? held)
    .split(' ')
    .filter((t) => t !== '')
    .map((text) => {
      const [who = '', state] = text.split('/');
      const name = who.length === 1 ? slotOf(idOf(who)) : who;
      const walStatus = state === 'lost' ? 'lost' : 'reserved';
      return { name, active: state === 'active', restartLsn: LSN, walStatus };
    });
}
