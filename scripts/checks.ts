/** The kinds of checks. */
import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Verdict } from '../rehearsal/report.ts';

export interface Result {
  readonly passed: number;
  readonly failed: number;
  /** What is told again at the end: the output of a long run may be cut. */
  readonly failures?: readonly string[];
  /** What failed first and passed when it was run again, alone. */
  readonly unsteady?: readonly string[];
}

export interface Check {
  readonly name: string;
  readonly run: () => Promise<Result>;
}

/** Runs a command with its output on ours; answers its exit code (1 when a signal ended it). */
function command(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

export const whole = (name: string, program: string, args: readonly string[]): Check => ({
  name,
  run: async () => ((await command(program, args)) === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }),
});

/** The promises that a rehearsal's report says were not kept; none when it came to no report. */
async function missedIn(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => '{"verdicts":[]}');
  const { verdicts } = JSON.parse(text) as { verdicts: readonly Verdict[] };
  return verdicts.filter(({ held }) => !held).map(({ promise, measured }) => `${promise}; measured: ${measured}`);
}

/** A rehearsal. It is run again only if all that it missed were limits of time: a write that was lost once was lost. */
export const rehearsal = (name: string, options: readonly string[]): Check => {
  const file = join(tmpdir(), `rejoin-rehearsal-${process.pid}.json`);
  const once = whole(name, 'node', ['rehearsal/main.ts', ...options, '--report', file]);
  return {
    name,
    run: async () => {
      try {
        const first = await once.run();
        const missed = first.failed === 0 ? [] : await missedIn(file);
        if (missed.length === 0 || !missed.every((text) => text.endsWith(' ms'))) return { ...first, failures: missed };
        console.log(`\nonce more: ${missed.join('; ')}\n`);
        return { ...(await once.run()), failures: missed, unsteady: [`${name}: ${missed.join('; ')}`] };
      } finally {
        await rm(file, { force: true });
      }
    },
  };
};

/** What is used of vitest's JSON report; a file that could not be read at all has a message and no tests. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

const withoutLibraries = (text: string): string =>
  text
    .split('\n')
    .filter((line) => !line.includes('/node_modules/'))
    .join('\n');

const failuresOf = (report: Report): string[] =>
  report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(process.cwd(), name);
    const tests = assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => `${file} > ${test.fullName}\n${withoutLibraries(test.failureMessages.join('\n'))}`);
    return status === 'failed' && tests.length === 0 ? [`${file}\n${withoutLibraries(message)}`] : tests;
  });

/** Runs a vitest project, or only `files` of it, one after another. */
async function vitest(project: string, files: readonly string[] = []): Promise<{ code: number; report: Report }> {
  const file = join(tmpdir(), `rejoin-${project}-${process.pid}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const alone = files.length > 0 ? ['--maxWorkers=1', ...files] : [];
  const code = await command('vitest', ['run', '--project', project, ...reporters, ...alone]);
  const report = JSON.parse(await readFile(file, 'utf8')) as Report;
  await rm(file, { force: true });
  return { code, report };
}

/** Counted test by test. A run that reports no test has failed, whatever its exit code. */
const counted = ({ code, report }: { code: number; report: Report }): Result => ({
  passed: report.numPassedTests,
  failed: report.numFailedTests || (code === 0 && report.numPassedTests > 0 ? 0 : 1),
  failures: failuresOf(report),
});

export const suite = (project: string): Check => ({
  name: `${project} tests`,
  run: async () => counted(await vitest(project)),
});

/** More files than this do not fail by the machine's mood. */
const FILES_RUN_AGAIN = 3;

export const suiteOnServers = (project: string): Check => ({
  name: `${project} tests`,
  run: async () => {
    const first = await vitest(project);
    const found = first.report.testResults.filter(({ status }) => status === 'failed');
    if (found.length === 0 || found.length > FILES_RUN_AGAIN) return counted(first);
    const files = found.map(({ name }) => relative(process.cwd(), name));
    console.log(`\nonce more, alone: ${files.join(', ')}\n`);
    const again = counted(await vitest(project, files));
    const passedElsewhere = first.report.testResults
      .filter((result) => !found.includes(result))
      .flatMap(({ assertionResults }) => assertionResults.filter(({ status }) => status === 'passed')).length;
    return {
      ...again,
      passed: passedElsewhere + again.passed,
      unsteady: again.failed === 0 ? failuresOf(first.report) : [],
    };
  },
});
