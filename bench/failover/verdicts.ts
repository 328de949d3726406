/** The promises of the failover benchmark, and whether a run kept them. Pure. */
import { spread, type Fault, type Round, type Spread } from './kinds.ts';

export const OURS = 'rejoin';
export const PEER_DEFAULT = 'patroni-default';

const OUTAGE_LIMIT_MS = 5000;
const SHARE_OF_DEFAULT = 1 / 4;
const SHARE_OF_FASTEST = 1 / 2;
/** The promises are about a host that is lost; what a lost process costs is measured beside them. */
const PROMISED: readonly Fault[] = ['host-killed', 'host-frozen'];

export interface Figure {
  readonly system: string;
  readonly fault: Fault;
  readonly rounds: number;
  readonly writeOutageMs: Spread;
  readonly lostWrites: number;
  /** Of the rounds in which it came in time; null when there was none. */
  readonly replicaAgainMs: Spread | null;
  /** Rounds in which it did not, and a member was copied anew. */
  readonly reseeded: number;
  readonly comeback: Round['comeback'];
  /** Rejoin's median outage as a share of this system's; null where Rejoin was not measured. */
  readonly rejoinShare: number | null;
}

export interface Verdict {
  readonly promise: string;
  readonly measured: string;
  readonly held: boolean;
}

const medianOf = (rounds: readonly Round[], system: string, fault: Fault): number | null => {
  const outages = rounds.filter((r) => r.system === system && r.fault === fault).map((r) => r.writeOutageMs);
  return outages.length === 0 ? null : spread(outages).median;
};

/** One figure for each system and fault that was measured, in the order of their first round. */
export function figures(rounds: readonly Round[]): Figure[] {
  const groups = Map.groupBy(rounds, (r) => `${r.fault} ${r.system}`);
  return [...groups.values()].flatMap((group): Figure[] => {
    const [first] = group;
    if (first === undefined) return [];
    const writeOutageMs = spread(group.map((r) => r.writeOutageMs));
    const ours = medianOf(rounds, OURS, first.fault);
    const again = group.flatMap((r) => (r.replicaAgainMs === null ? [] : [r.replicaAgainMs]));
    return [
      {
        system: first.system,
        fault: first.fault,
        rounds: group.length,
        writeOutageMs,
        lostWrites: sum(group.map((r) => r.lostWrites)),
        replicaAgainMs: again.length === 0 ? null : spread(again),
        reseeded: group.length - again.length,
        comeback: group.every((r) => r.comeback === 'by-itself') ? 'by-itself' : 'helped',
        rejoinShare: ours === null ? null : Math.round((ours / writeOutageMs.median) * 1000) / 1000,
      },
    ];
  });
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Only what was measured is judged: a run of one system alone says nothing of ratios. */
export function verdicts(rounds: readonly Round[]): Verdict[] {
  const ours = rounds.filter((r) => r.system === OURS);
  const lost = sum(ours.map((r) => r.lostWrites));
  const none: Verdict[] =
    ours.length === 0
      ? []
      : [
          {
            promise: 'no acknowledged write is lost',
            measured: `${lost} lost in ${ours.length} rounds`,
            held: lost === 0,
          },
        ];
  return [...none, ...PROMISED.flatMap((fault) => outageVerdicts(rounds, fault))];
}

function outageVerdicts(rounds: readonly Round[], fault: Fault): Verdict[] {
  const ours = medianOf(rounds, OURS, fault);
  if (ours === null) return [];
  const atMost = (what: string, limitMs: number): Verdict => ({
    promise: `${fault}: median write outage at most ${what}`,
    measured: `${Math.round(ours)} ms, limit ${Math.round(limitMs)} ms`,
    held: ours <= limitMs,
  });
  const peerDefault = medianOf(rounds, PEER_DEFAULT, fault);
  const fastest = [...new Set(rounds.map((r) => r.system))]
    .filter((system) => system !== OURS && system !== PEER_DEFAULT)
    .map((system) => medianOf(rounds, system, fault))
    .filter((median) => median !== null);
  return [
    atMost('5 s', OUTAGE_LIMIT_MS),
    ...(peerDefault === null ? [] : [atMost("a quarter of Patroni's by default", peerDefault * SHARE_OF_DEFAULT)]),
    ...(fastest.length === 0 ? [] : [atMost("half of Patroni's fastest", Math.min(...fastest) * SHARE_OF_FASTEST)]),
  ];
}
