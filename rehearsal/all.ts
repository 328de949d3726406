/** Runs scenarios one after another, each in a process of its own, and prints their figures as a table. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import type { EngineKind } from '../lambdas/model/spec.ts';
import { mergeUnused } from './iam/report.ts';
import type { Report } from './report.ts';
import { ENGINES } from './engines/index.ts';
import { EVENTS } from './options.ts';
import { isFor, scenarioNamed, scenarios } from './scenarios/index.ts';

const program = new Command('npm run scenarios --')
  .description('Runs the scenarios one after another and prints a table of their figures.')
  .argument('[names...]', 'which ones; all of them when none is named')
  .addOption(new Option('--engine <name>', 'database engine').choices(ENGINES).default('galera'))
  .addOption(new Option('--events <how>', 'how events reach the plane').choices(EVENTS).default('normal'))
  .option('--kills', 'kill every step of every workflow, reconcile and watch once', false)
  .option('--rounds <n>', 'how many times each', '1')
  .option('--reports <dir>', 'where the JSON reports go', '.rehearsal/reports')
  .parse();

const options = program.opts<{ rounds: string; reports: string; engine: EngineKind; events: string; kills: boolean }>();
const names =
  program.args.length > 0
    ? program.args.map((name) => scenarioNamed(name).name)
    : scenarios.filter((s) => isFor(s, options.engine)).map((s) => s.name);
const variant = ['--engine', options.engine, '--events', options.events, ...(options.kills ? ['--kills'] : [])];
const rounds = Number(options.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  program.error(`--rounds is ${JSON.stringify(options.rounds)}; give a whole number of at least 1`);

const main = fileURLToPath(new URL('./main.ts', import.meta.url));

/** One run; the report is missing when the run ended before it had one. */
async function run(name: string, file: string): Promise<Report | null> {
  await new Promise<void>((done, fail) => {
    const child = spawn(process.execPath, [main, '--scenario', name, '--report', file, ...variant], {
      stdio: 'inherit',
    });
    child.once('error', fail);
    child.once('exit', () => done());
  });
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Report;
  } catch (error) {
    console.error(`${name}: no report (${error instanceof Error ? error.message : String(error)})`);
    return null;
  }
}

const dir = resolve(options.reports);
await mkdir(dir, { recursive: true });
const reports: Report[] = [];
const rows: Record<string, unknown>[] = [];
for (const name of names) {
  for (let round = 1; round <= rounds; round++) {
    const report = await run(name, join(dir, `${name}-${round}.json`));
    if (report !== null) reports.push(report);
    rows.push(row(name, report));
  }
}

function row(name: string, report: Report | null): Record<string, unknown> {
  if (report === null) return { scenario: name, passed: 'NO REPORT' };
  return {
    scenario: name,
    passed: report.passed ? 'yes' : 'NO',
    writes: report.client.writesAcknowledged,
    lost: report.client.writesLost,
    twice: report.client.writesDuplicated,
    'outage ms': report.client.writeOutageMs,
    'write errors': report.client.writeErrors,
    'read errors': report.client.readErrors,
    'routed ms': report.control.signalToRoutedMs ?? '–',
    'rejoined ms': report.control.signalToRejoinedMs ?? '–',
    'refused calls': report.iam.refused.length,
  };
}

console.log('\nscenarios');
console.table(rows);
const unused = mergeUnused(reports.map((r) => r.iam.unused));
await writeFile(join(dir, 'iam-unused.json'), `${JSON.stringify(unused, null, 2)}\n`);
console.log(
  `granted and used by none of these scenarios: ${unused.length} (${join(options.reports, 'iam-unused.json')})`,
);
const failed = rows.filter((r) => r['passed'] !== 'yes').length;
console.log(`${rows.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
