/** `node simulator/main.ts --seeds 200`: nights with the production code in them. Exit code 0 only when no rule was broken. */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { nightsOf } from './crew.ts';
import { shrink } from './shrink.ts';
import { ENGINES } from './side.ts';
import type { EngineName } from './side.ts';
import type { Night } from './simulate.ts';
import { STEPS } from './simulate.ts';
import { EVERY_SABOTAGE, TRIAL_SEEDS, onTrial, tableOf } from './trial.ts';
import type { Verdict } from './trial.ts';

interface Options {
  readonly engine: EngineName | 'both';
  readonly seeds: string;
  readonly seed?: string;
  readonly from: string;
  readonly steps: string;
  readonly workers: string;
  readonly report?: string;
  readonly shrink?: boolean;
  readonly archive?: boolean;
  readonly keepGoing?: boolean;
  readonly sabotage?: string | true;
}

const whole = (name: string, value: string): number => {
  const n = Number(value);
  if (Number.isInteger(n) && n >= 0) return n;
  throw new Error(`--${name} is ${JSON.stringify(value)}: give a whole number`);
};

async function main(): Promise<void> {
  const command = new Command('simulate')
    .addOption(
      new Option('--engine <engine>', "whose nights; of both, Galera's have the odd seeds")
        .choices([...ENGINES, 'both'])
        .default('both'),
    )
    .option('--seeds <n>', 'how many nights', '100')
    .option(
      '--sabotage [name]',
      `puts plausible bugs into the plane, or this one: each must be caught by the seeds up to ${TRIAL_SEEDS}`,
    )
    .option('--from <seed>', 'the first of them', '1')
    .option('--seed <seed>', 'this one alone, with its story')
    .option('--steps <n>', 'faults in a night', String(STEPS))
    .option('--workers <n>', 'threads that play them', String(availableParallelism()))
    .option('--report <file>', 'writes the result as JSON')
    .option('--archive', 'plays the archive too')
    .option('--shrink', 'looks for a shorter night that breaks the same rule')
    .option('--keep-going', 'does not stop at the first broken rule')
    .parse();
  const options: Options = command.opts();
  if (options.sabotage !== undefined) return spoil(options.sabotage === true ? null : options.sabotage, options.report);
  const { archive = false } = options;
  const night = { archive, ...(options.engine === 'both' ? {} : { engine: options.engine }) };
  const steps = whole('steps', options.steps);
  const single = options.seed === undefined ? null : whole('seed', options.seed);
  const first = single ?? whole('from', options.from);
  const count = single === null ? whole('seeds', options.seeds) : 1;
  const workers = whole('workers', options.workers);
  const startedMs = performance.now();
  const nights: Omit<Night, 'story'>[] = [];
  const progress = setInterval(() => tellProgress(nights, count, startedMs), PROGRESS_MS);
  let isInterrupted = false;
  process.once('SIGINT', () => (isInterrupted = true));
  for await (const { story, ...played } of nightsOf({ first, count, workers, options: { steps, ...night } })) {
    nights.push(played);
    if (single !== null) console.log(story.join('\n'));
    if (isInterrupted) break;
    if (played.violations.length === 0) continue;
    const shortest = options.shrink === true ? await shrink(played.seed, { steps, ...night }) : null;
    tell(played, { archive, story: shortest?.story ?? story, whole: single === null && options.keepGoing !== true });
    if (options.keepGoing !== true) break;
  }
  clearInterval(progress);
  const seconds = (performance.now() - startedMs) / 1000;
  const summary = summarise(nights, seconds);
  console.log(JSON.stringify(summary, null, 2));
  if (options.report !== undefined) {
    const broken = nights.filter((n) => n.violations.length > 0);
    writeFileSync(options.report, `${JSON.stringify({ ...summary, broken }, null, 2)}\n`);
  }
  process.exitCode = summary.broken > 0 ? 1 : isInterrupted ? 130 : 0;
}

/** Of every engine, or those of one name. Exit code 1 when one was not caught. */
async function spoil(name: string | null, report: string | undefined): Promise<void> {
  const chosen = EVERY_SABOTAGE.filter((s) => name === null || s.name === name);
  if (chosen.length === 0) {
    const names = [...new Set(EVERY_SABOTAGE.map((s) => s.name))].join(', ');
    console.error(`--sabotage is ${JSON.stringify(name)}: give one of ${names}`);
    process.exitCode = 2;
    return;
  }
  const verdicts: Verdict[] = [];
  for (const sabotage of chosen) {
    const verdict = await onTrial(sabotage);
    verdicts.push(verdict);
    console.error(`${verdicts.length} of ${chosen.length}: ${sabotage.name}, ${verdict.nights} nights`);
  }
  console.log(tableOf(verdicts));
  if (report !== undefined) writeFileSync(report, `${JSON.stringify(verdicts, null, 2)}\n`);
  process.exitCode = verdicts.every((v) => v.caught !== null) ? 0 : 1;
}

const PROGRESS_MS = 10_000;

function tellProgress(nights: readonly Omit<Night, 'story'>[], count: number, startedMs: number): void {
  const { broken, nightsPerSecond } = summarise(nights, (performance.now() - startedMs) / 1000);
  console.error(`${nights.length} of ${count} nights, ${nightsPerSecond} a second, ${broken} broke a rule`);
}

interface Telling {
  readonly archive: boolean;
  readonly story: readonly string[];
  readonly whole: boolean;
}

function tell(night: Omit<Night, 'story'>, telling: Telling): void {
  if (telling.whole) console.log(telling.story.join('\n'));
  for (const v of night.violations.slice(0, 3)) console.log(`seed ${night.seed} breaks rule ${v.rule}: ${v.what}`);
  const archive = telling.archive ? ' --archive' : '';
  console.log(
    `Again: node simulator/main.ts --engine ${night.engine} --seed ${night.seed} --steps ${night.steps}${archive}`,
  );
}

function summarise(nights: readonly Omit<Night, 'story'>[], seconds: number) {
  const ends: Record<string, number> = {};
  for (const n of nights) ends[n.end] = (ends[n.end] ?? 0) + 1;
  const healed = nights.flatMap((n) => n.healedAfterMs ?? []).toSorted((a, b) => a - b);
  return {
    nights: nights.length,
    seeds: [nights[0]?.seed ?? null, nights.at(-1)?.seed ?? null],
    byEngine: Object.fromEntries(ENGINES.map((e) => [e, nights.filter((n) => n.engine === e).length])),
    async: nights.filter((n) => n.durability === 'async').length,
    broken: nights.filter((n) => n.violations.length > 0).length,
    ends,
    healedAfterSeconds: { median: (healed[healed.length >> 1] ?? 0) / 1000, longest: (healed.at(-1) ?? 0) / 1000 },
    writesAcknowledged: nights.reduce((sum, n) => sum + n.writes, 0),
    writesLost: nights.reduce((sum, n) => sum + n.lost, 0),
    volumesLeftOver: nights.reduce((sum, n) => sum + n.leftovers, 0),
    seconds: Math.round(seconds * 10) / 10,
    nightsPerSecond: Math.round((nights.length / seconds) * 10) / 10,
  };
}

await main();
