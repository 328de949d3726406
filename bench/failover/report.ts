/** The failover benchmark's report: JSON for machines, a table for people. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem, type as osType, release } from 'node:os';
import { dirname, resolve } from 'node:path';
import { FAULTS, type Round, type Spread } from './kinds.ts';
import { figures, verdicts, type Figure, type Verdict } from './verdicts.ts';

export interface Report {
  readonly machine: {
    readonly cpus: number;
    readonly model: string;
    readonly memoryGiB: number;
    readonly system: string;
  };
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly method: readonly string[];
  readonly figures: readonly Figure[];
  readonly verdicts: readonly Verdict[];
  readonly rounds: readonly Round[];
}

const METHOD = [
  'one client process, one connection, one row a transaction, 5 ms pause, 20 ms retry, no query timeout; the same for every system',
  'write outage: the longest gap between two acknowledged writes from the fault until the cluster is whole again',
  'host-killed: packets from and to the address are dropped (nftables), then every process of the host gets SIGKILL',
  'process-killed: SIGKILL to the postmaster; its host, and what runs beside it, lives',
  'host-frozen: SIGSTOP to every process of the host; its kernel still takes connections; nobody is told anything',
  'lost writes: acknowledged ids that the cluster does not hold when it is whole again',
  'replica again: until one primary and two streaming replicas, from the fault when by itself, from the help when helped',
  'a peer that is not whole within its limit (reseedAfterSeconds) counts as not a replica again; the member is copied anew, so that the next round can run',
  'Patroni: synchronous_mode on (both promise no loss), one etcd member that never fails, HAProxy as in its documentation',
];

export function makeReport(
  rounds: readonly Round[],
  settings: Report['settings'],
  versions: Report['versions'],
): Report {
  return {
    machine: {
      cpus: cpus().length,
      model: cpus()[0]?.model ?? 'unknown',
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `${osType()} ${release()}`,
    },
    versions: { node: process.version, ...versions },
    settings,
    method: METHOD,
    figures: figures(rounds),
    verdicts: verdicts(rounds),
    rounds,
  };
}

export async function writeReport(report: Report, file: string): Promise<void> {
  await mkdir(dirname(resolve(file)), { recursive: true });
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
}

const milliseconds = (s: Spread): string => `${Math.round(s.median)} (${Math.round(s.min)} to ${Math.round(s.max)})`;

/** When the lost node was a replica again, in words; rounds in which it was not in time are counted apart. */
export function comebackOf(f: Figure): string {
  const inTime = f.replicaAgainMs === null ? 'in no round in time' : milliseconds(f.replicaAgainMs);
  const words = f.comeback === 'by-itself' ? inTime : `never by itself; helped: ${inTime}`;
  return f.reseeded === 0 ? words : `${words}; copied anew in ${f.reseeded} of ${f.rounds}`;
}

/** Prints medians (min to max) in milliseconds, then what was promised. */
export function printReport(report: Report): void {
  const rows = FAULTS.flatMap((fault) => report.figures.filter((f) => f.fault === fault)).map((f) => ({
    fault: f.fault,
    system: f.system,
    rounds: f.rounds,
    'write outage, ms': milliseconds(f.writeOutageMs),
    'lost writes': f.lostWrites,
    'replica again, ms': comebackOf(f),
    'Rejoin / it': f.rejoinShare ?? '–',
  }));
  console.log('\nmedian (min to max) of the rounds\n');
  console.table(rows);
  for (const [system, settings] of Object.entries(report.settings))
    console.log(`${system}: ${JSON.stringify(settings)}`);
  for (const v of report.verdicts) console.log(`${v.held ? 'held  ' : 'BROKEN'}  ${v.promise}: ${v.measured}`);
}
