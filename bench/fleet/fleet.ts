/** `npm run bench -- fleet`: the real code over a fake AWS with AWS's limits. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, resolve } from 'node:path';
import { NODES } from '../../simulator/aws/calls.ts';
import { LIMITS } from '../../simulator/aws/limits.ts';
import { plot } from './plot.ts';
import { DEFAULT_QUOTA, RAISED_QUOTA } from './quotas.ts';
import { outage } from './outage.ts';
import type { OutageFigure } from './outage-figure.ts';
import { outageVerdicts, printOutage } from './outage-report.ts';
import { type SteadyFigure, steady } from './steady.ts';
import { type Meeting, type Storm, storm, type StormFigure } from './storm.ts';
import { type TargetsFigure, withTargets } from './targets.ts';
import { isKept, printVerdict } from './verdict.ts';
import type { Verdict } from './verdict.ts';

export interface FleetOptions {
  /** Messages of the bursts. */
  readonly messages: readonly number[];
  /** Clusters of the quiet fleets. */
  readonly clusters: readonly number[];
  /** Clusters of the outage; 0: none. */
  readonly outage: number;
  readonly seed: number;
  readonly reportFile: string | null;
  readonly plotFile: string | null;
}

/** As commander gives them. */
export interface RawFleetOptions {
  readonly messages: string;
  readonly clusters: string;
  readonly outage: string;
  readonly seed: string;
  readonly report?: string;
  readonly plot?: string;
}

const MOST = 100_000;
/** The fleet that is told of again and again. */
const SMALL_FLEET = 100;
const OUTAGE_SECONDS = 900;
const MEETINGS = ['together', 'flowing', 'apart'] as const satisfies readonly Meeting[];
const TARGETS = [3, 30, 100, 300, 1000];
const MESSAGES_PER_CPU_SECOND = 3000;
/** Of the calls for each cluster touched, however many messages there are about it. */
const CALLS_GROW_AT_MOST = 2;
/** Of a default quota. */
const SHARE_AT_MOST = 0.5;

/** @throws Error that names the option, what it was given and what it takes. */
export function fleetOptions(raw: RawFleetOptions): FleetOptions {
  const numbers = (option: string, text: string): readonly number[] =>
    text.split(',').map((part) => {
      const value = Number(part);
      if (part.trim() === '' || !Number.isInteger(value) || value < 1 || value > MOST)
        throw new Error(`${option} names ${JSON.stringify(part)}; give whole numbers from 1 to ${MOST}, with commas`);
      return value;
    });
  const [seed = 1, ...more] = numbers('--seed', raw.seed);
  if (more.length > 0) throw new Error(`--seed is ${JSON.stringify(raw.seed)}; give one whole number`);
  const zone = raw.outage === '0' ? 0 : (numbers('--outage', raw.outage)[0] ?? 0);
  return {
    outage: zone,
    messages: numbers('--messages', raw.messages),
    clusters: numbers('--clusters', raw.clusters),
    seed,
    reportFile: raw.report ?? null,
    plotFile: raw.plot ?? null,
  };
}

const METHOD = [
  'real: the code of signals, reconcile and watch; fake: AWS, in memory, with the contract that the adapters keep too',
  'CPU: user and system of this process, the fakes in it; each burst on a fresh fleet of Galera clusters of three nodes, 1 % of the nodes gone',
  'together: the burst lies in the queue when the first function starts, and what is asked for one cluster gathers in its message group until all of it is read; flowing: it is reconciled while it is read; apart: each message is dealt with before the next one comes, and time stands still, but for launches that wait for their turn',
  'in both of the former as many environments of each function as the mapping of its queue allows (two), and a call to AWS takes 25 ms of virtual time',
  'calls: requests to AWS that the adapters would make, page after page without retries; secrets are kept by the adapter and not counted',
  'quiet fleet: one period of the sweep (3 minutes) of virtual time after a first minute, clusters without an archive, nothing fails; a bucket for each API with its burst, full at first',
  'outage: a zone goes, and with it one node of each cluster, two of every tenth (of five nodes); EC2 says terminated at once; health checks each 10 s, two failures; a person releases the brake after a minute; the first replacement of each cluster is followed until its launch; at most a quarter of an hour',
  'dollars: bench/fleet/prices.ts; the watch as one function, which a fleet of thousands of clusters does not fit into',
];

/** Measures all, prints tables and writes what was asked for. Answers whether every promise held that AWS's quotas allow to hold. */
export async function fleet(options: FleetOptions): Promise<boolean> {
  const storms = await allStorms(options);
  const targets: TargetsFigure[] = [];
  for (const count of TARGETS) targets.push(await withTargets(count));
  const steadies: SteadyFigure[] = [];
  for (const clusters of options.clusters) {
    console.error(`quiet fleet of ${clusters} clusters`);
    steadies.push(await steady(clusters));
  }
  const outages: OutageFigure[] = [];
  if (options.outage > 0) {
    const told = (line: string): void => console.error(line);
    for (const quota of [DEFAULT_QUOTA, RAISED_QUOTA])
      outages.push(
        await outage({ clusters: options.outage, seed: options.seed, quota, seconds: OUTAGE_SECONDS, told }),
      );
  }
  const verdicts = [...stormVerdicts(storms), ...steadies.flatMap(steadyVerdicts), ...outages.flatMap(outageVerdicts)];
  outages.forEach(printOutage);
  print(storms, targets, steadies, verdicts);
  if (options.reportFile !== null) {
    const machine = { cpus: cpus().length, model: cpus()[0]?.model ?? 'unknown', node: process.version };
    const report = {
      machine,
      method: METHOD,
      limits: LIMITS,
      seed: options.seed,
      storms,
      targets,
      steadies,
      outages,
      verdicts,
    };
    await write(options.reportFile, JSON.stringify(report, null, 2));
  }
  if (options.plotFile !== null) await write(options.plotFile, plot(storms, steadies));
  return verdicts.every(isKept);
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(resolve(file)), { recursive: true });
  await writeFile(file, `${text}\n`);
  console.log(`wrote ${file}`);
}

async function allStorms({ messages, seed }: FleetOptions): Promise<readonly StormFigure[]> {
  const plans = (meeting: Meeting): Storm[] => [
    ...messages.map((count) => ({ messages: count, clusters: Math.ceil(count / NODES), meeting })),
    ...messages.map((count) => ({ messages: count, clusters: SMALL_FLEET, meeting })),
  ];
  const figures: StormFigure[] = [];
  // So that the code is warm.
  for (const meeting of MEETINGS) await storm({ messages: 2000, clusters: SMALL_FLEET, meeting }, seed);
  for (const plan of MEETINGS.flatMap(plans)) {
    console.error(`burst of ${plan.messages} messages, ${plan.clusters} clusters, ${plan.meeting}`);
    figures.push(await storm(plan, seed));
  }
  return figures;
}

function stormVerdicts(storms: readonly StormFigure[]): readonly Verdict[] {
  const slowest = storms.reduce((a, b) => (a.messagesPerCpuSecond < b.messagesPerCpuSecond ? a : b));
  const gathered = storms.filter((s) => s.meeting === 'together' && s.clusters === SMALL_FLEET);
  const [first, last] = [gathered[0], gathered.at(-1)];
  const verdicts = [
    {
      promise: `at least ${MESSAGES_PER_CPU_SECOND} messages a second of CPU, in every burst`,
      measured: `${Math.round(slowest.messagesPerCpuSecond)} (${slowest.messages} messages, ${slowest.clusters} clusters, ${slowest.meeting})`,
      held: slowest.messagesPerCpuSecond >= MESSAGES_PER_CPU_SECOND,
    },
  ];
  if (first === undefined || last === undefined || first === last) return verdicts;
  const perCluster = (s: StormFigure, calls: number): number => calls / s.touched;
  const growth = perCluster(last, last.calls) / perCluster(first, first.calls);
  const without = perCluster(last, last.calls - last.asks) / perCluster(first, first.calls - first.asks);
  const more = last.messages / first.messages;
  return [
    ...verdicts,
    {
      promise: 'calls grow with the clusters touched and not with the messages, when these come together',
      measured: `${more.toFixed(0)} times the messages about ${SMALL_FLEET} clusters: ${growth.toFixed(1)} times the calls for each cluster touched; ${without.toFixed(1)} without those that ask whose an instance is`,
      held: growth <= CALLS_GROW_AT_MOST,
    },
  ];
}

function steadyVerdicts({ clusters, uses }: SteadyFigure): readonly Verdict[] {
  const over = uses.filter((u) => (u.share ?? 0) > SHARE_AT_MOST);
  return [
    {
      promise: `${clusters} clusters within half of every default quota`,
      measured:
        over.length === 0
          ? `at most ${Math.round(Math.max(...uses.map((u) => u.share ?? 0)) * 100)} %`
          : over.map((u) => `${u.api} to be raised to ${Math.ceil(u.perSecond / SHARE_AT_MOST)} a second`).join(', '),
      held: over.length === 0,
    },
  ];
}

const rounded = (value: number, digits = 2): number => Number(value.toFixed(digits));

function print(
  storms: readonly StormFigure[],
  targets: readonly TargetsFigure[],
  steadies: readonly SteadyFigure[],
  verdicts: readonly Verdict[],
): void {
  console.log('\nbursts of messages through signals and reconcile\n');
  console.table(
    storms.map((s) => ({
      ...{
        messages: s.messages,
        clusters: s.clusters,
        meeting: s.meeting,
        touched: s.touched,
        reconciles: s.reconciles,
      },
      'messages a CPU s': Math.round(s.messagesPerCpuSecond),
      ...{ calls: s.calls, 'of them whose': s.asks },
      'calls a message': rounded(s.callsPerMessage),
      'calls a cluster touched': rounded(s.callsPerTouched, 1),
    })),
  );
  console.log('\none reconcile, by the targets in the readers’ group\n');
  console.table(
    targets.map((t) => ({ targets: t.targets, 'CPU ms': rounded(t.cpuMs), 'allocated KB': rounded(t.allocatedKB, 0) })),
  );
  for (const f of steadies) {
    console.log(
      `\n${f.clusters} quiet clusters: ${rounded(f.probesPerSecond, 0)} probes a second, ${f.reconciles} reconciles in ${f.seconds} s; $${rounded(f.cost.dollarsPerClusterMonth, 3)} a cluster and month ($${rounded(f.cost.dollarsPerMonth, 0)} in all)\n`,
    );
    console.table(
      f.uses.map((u) => ({
        ...{ api: u.api, 'calls a minute': rounded((u.calls / f.seconds) * 60, 0), 'most in a second': u.peak },
        'lasting limit a second': u.limit?.perSecond ?? '–',
        'share of it': u.share === null ? '–' : `${rounded(u.share * 100, 1)} %`,
        'refused by the bucket': u.refused,
      })),
    );
  }
  console.log('');
  for (const v of verdicts) printVerdict(v);
}
