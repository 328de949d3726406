/** The archive benchmark's report: JSON for machines, tables for people. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem, type as osType, release } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Spread } from '../failover/kinds.ts';
import { figures, OURS, PEERS, verdicts, type Figure, type Verdict } from './figures.ts';
import { PARTS, type Failure, type Part, type Round } from './kinds.ts';
import type { RawSpeed } from './s3.ts';

/** What stays the same over the rounds of one run. */
export interface Ground {
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly rawS3: { readonly before: RawSpeed; after: RawSpeed | null };
}

export interface Report extends Ground {
  readonly machine: {
    readonly cpus: number;
    readonly model: string;
    readonly memoryGiB: number;
    readonly system: string;
  };
  readonly method: readonly string[];
  readonly figures: readonly Figure[];
  readonly verdicts: readonly Verdict[];
  readonly failures: readonly Failure[];
  readonly rounds: readonly Round[];
}

export const METHOD = [
  'one machine, one run; contestants take turns, each round begins with another one; all at the same niceness',
  "CPU: user and system of every process that the contestant's command started, daemons too, until the last one ended; database servers and the S3 server are counted for nobody",
  'peak memory: the largest sum of resident memory over those processes at one moment, looked at every 20 ms',
  'one S3 server (bench/archive/s3, Node, bodies on a RAM disk), TLS for every contestant that speaks to it; raw: 6 MiB bodies, 4 at once',
  'WAL: written once (small transactions at random by pgbench, then one large update, full pages after each checkpoint), held back by a slot; the same segments for everybody in every round',
  'pgBackRest: archive_command for each segment in turn, as the archiver calls it; the time runs from the first call to the end of the last, which is when S3 has all',
  'pg_receivewal: for reference; stores on the RAM disk, without S3 and TLS',
];

export function makeReport(rounds: readonly Round[], failures: readonly Failure[], ground: Ground): Report {
  const list = figures(rounds);
  return {
    machine: {
      cpus: cpus().length,
      model: cpus()[0]?.model ?? 'unknown',
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `${osType()} ${release()}`,
    },
    ...ground,
    ...{ method: METHOD, figures: list, verdicts: verdicts(list), failures, rounds },
  };
}

export async function writeReport(report: Report, file: string): Promise<void> {
  await mkdir(dirname(resolve(file)), { recursive: true });
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
}

const range = ({ median, min, max }: Spread): string => `${median} (${min} to ${max})`;

function row(f: Figure): Record<string, string | number> {
  const stored = f.storedBytes === null ? {} : { 'stored, MB': Math.round(f.storedBytes / 1e5) / 10 };
  const objects = f.objects === null ? {} : { objects: f.objects };
  const phases = Object.entries(f.phaseSeconds);
  const each = phases.length < 2 ? [] : phases.map(([name, seconds]) => [`${name}, s`, range(seconds)] as const);
  return {
    contestant: f.contestant,
    rounds: f.rounds,
    ...(f.part === 'restore' ? { 'all, s': range(f.seconds) } : { 'MB/s': range(f.logMBps) }),
    ...Object.fromEntries(each),
    ...(f.part === 'restore' ? { 'CPU s': range(f.cpuSeconds) } : { 'CPU s a GB': range(f.cpuSecondsPerGB) }),
    'peak, MB': range(f.peakMB),
    ...stored,
    ...objects,
    ...(f.ofPeer !== null && { 'speed / peer': f.ofPeer.speed, 'CPU / peer': f.ofPeer.cpu }),
  };
}

const TITLES: Readonly<Record<Part, string>> = {
  wal: 'WAL of PostgreSQL, MB of log a second',
  binlog: 'binlogs of MariaDB, MB of log a second',
  restore: 'restore of the base backup, then replay of the log to its end',
};

/** Prints medians (min to max) part by part, then what failed, then what was promised. */
export function printReport(report: Report): void {
  for (const part of PARTS) {
    const rows = report.figures.filter((f) => f.part === part).map(row);
    if (rows.length === 0) continue;
    console.log(`\n${TITLES[part]}: median (min to max) of the rounds; peer: ${PEERS[part]}\n`);
    console.table(rows);
  }
  const { before, after } = report.rawS3;
  for (const [when, speed] of [['before', before] as const, ['after', after] as const])
    if (speed !== null)
      console.log(
        `S3 server alone, ${when}: ${speed.putMBps.toFixed(0)} MB/s in, ${speed.getMBps.toFixed(0)} MB/s out`,
      );
  for (const f of report.failures) console.log(`FAILED  ${f.part} ${f.round} ${f.contestant}: ${f.why}`);
  for (const v of report.verdicts) console.log(`${v.held ? 'held  ' : 'BROKEN'}  ${v.promise}: ${v.measured}`);
}

/** Did every contestant of ours that was to be measured get through, and does every promise hold. */
export const allHeld = (report: Report): boolean =>
  report.verdicts.every((v) => v.held) && report.failures.every((f) => f.contestant !== OURS);
