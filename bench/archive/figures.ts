/** Figures of the archive's benchmark as ratios against the peer, and what was promised of them. Pure. */
import { spread, type Spread } from '../failover/kinds.ts';
import type { Part, Round, Usage } from './kinds.ts';

export const OURS = 'rejoin';
export const PEERS: Readonly<Record<Part, string>> = {
  wal: 'pgbackrest',
  binlog: 'mariadb-binlog | zstd',
  restore: 'pgbackrest',
};

const MB = 1e6;
const GB = 1e9;

export interface Figure {
  readonly part: Part;
  readonly contestant: string;
  readonly rounds: number;
  /** Megabytes of log a second, over all steps. */
  readonly logMBps: Spread;
  readonly seconds: Spread;
  readonly phaseSeconds: Readonly<Record<string, Spread>>;
  readonly cpuSecondsPerGB: Spread;
  readonly cpuSeconds: Spread;
  readonly peakMB: Spread;
  readonly storedBytes: number | null;
  readonly objects: number | null;
  /** Its medians as multiples of the peer's; null where the peer was not measured. */
  readonly ofPeer: Ratios | null;
}

export interface Ratios {
  readonly speed: number;
  readonly cpu: number;
  readonly memory: number;
  readonly stored: number | null;
}

export interface Verdict {
  readonly promise: string;
  readonly measured: string;
  readonly held: boolean;
}

const usages = (round: Round): Usage[] => Object.values(round.steps);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
export const secondsOf = (round: Round): number => sum(usages(round).map((u) => u.seconds));
export const cpuOf = (round: Round): number => sum(usages(round).map((u) => u.userSeconds + u.systemSeconds));
const peakOf = (round: Round): number => Math.max(...usages(round).map((u) => u.peakRssBytes));

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));
const spreadOf = (values: readonly number[], digits = 2): Spread => {
  const { min, median, max } = spread(values);
  return { min: rounded(min, digits), median: rounded(median, digits), max: rounded(max, digits) };
};

/** Of the rounds of one contestant in one part. */
function figure(group: readonly [Round, ...Round[]]): Omit<Figure, 'ofPeer'> {
  const [first] = group;
  const kept = group.flatMap(({ kept: k }) => (k === null ? [] : [k]));
  const names = Object.keys(first.phaseSeconds);
  const phases = names.map((name) => [name, spreadOf(group.map((r) => r.phaseSeconds[name] ?? 0))] as const);
  return {
    ...{ part: first.part, contestant: first.contestant, rounds: group.length },
    logMBps: spreadOf(
      group.map((r) => r.logBytes / MB / secondsOf(r)),
      1,
    ),
    seconds: spreadOf(group.map(secondsOf)),
    phaseSeconds: Object.fromEntries(phases),
    cpuSecondsPerGB: spreadOf(group.map((r) => cpuOf(r) / (r.logBytes / GB))),
    cpuSeconds: spreadOf(group.map(cpuOf)),
    peakMB: spreadOf(
      group.map((r) => peakOf(r) / MB),
      0,
    ),
    storedBytes: kept.length === 0 ? null : spread(kept.map((k) => k.bytes)).median,
    objects: kept.length === 0 ? null : spread(kept.map((k) => k.objects)).median,
  };
}

/** One figure for each contestant of each part that was measured, in the order of their first round. */
export function figures(rounds: readonly Round[]): Figure[] {
  const groups = [...Map.groupBy(rounds, (r) => `${r.part} ${r.contestant}`).values()];
  const own = groups.flatMap(([first, ...more]) => (first === undefined ? [] : [figure([first, ...more])]));
  return own.map((f) => ({
    ...f,
    ofPeer: ratios(
      f,
      own.find((p) => isPeer(p) && p.part === f.part),
    ),
  }));
}

const isPeer = ({ part, contestant }: Pick<Figure, 'part' | 'contestant'>): boolean => contestant === PEERS[part];

type OwnFigure = Omit<Figure, 'ofPeer'>;

function ratios(of: OwnFigure, peer: OwnFigure | undefined): Ratios | null {
  if (peer === undefined) return null;
  return {
    speed: rounded(peer.seconds.median / of.seconds.median, 3),
    cpu: rounded(of.cpuSeconds.median / peer.cpuSeconds.median, 3),
    memory: rounded(of.peakMB.median / peer.peakMB.median, 2),
    stored: of.storedBytes === null || peer.storedBytes === null ? null : rounded(of.storedBytes / peer.storedBytes, 3),
  };
}

const SPEED_AT_LEAST = 1.5;
const STORED_WITHIN = 0.05;

/** Only what was measured is judged: a run without the peer says nothing of ratios. */
export function verdicts(list: readonly Figure[]): Verdict[] {
  return list
    .filter((f) => f.contestant === OURS && f.ofPeer !== null)
    .flatMap((f) => (f.part === 'restore' ? restoreVerdicts(f) : shippingVerdicts(f)));
}

/** Speed, CPU and size were promised against pgBackRest; of binlogs nothing was promised. */
function shippingVerdicts({ part, ofPeer, logMBps, cpuSecondsPerGB }: Figure): Verdict[] {
  if (part !== 'wal' || ofPeer === null) return [];
  const { speed, cpu, stored } = ofPeer;
  return [
    {
      promise: `ships WAL at ${SPEED_AT_LEAST} times pgBackRest's MB/s or more`,
      measured: `${speed} times (${logMBps.median} MB/s)`,
      held: speed >= SPEED_AT_LEAST,
    },
    {
      promise: "with no more CPU seconds than pgBackRest's, at the same level of compression",
      measured: `${cpu} times (${cpuSecondsPerGB.median} s a GB)`,
      held: cpu <= 1,
    },
    ...(stored === null
      ? []
      : [
          {
            promise: `stored bytes at most ${STORED_WITHIN * 100} % more than pgBackRest's`,
            measured: `${stored} times`,
            held: stored <= 1 + STORED_WITHIN,
          },
        ]),
  ];
}

function restoreVerdicts({ ofPeer, seconds }: Figure): Verdict[] {
  if (ofPeer === null) return [];
  const times = rounded(1 / ofPeer.speed, 3);
  return [
    {
      promise: 'restore and replay together take no longer than with pgBackRest',
      measured: `${times} times (${seconds.median} s)`,
      held: ofPeer.speed >= 1,
    },
  ];
}
