/**
 * Runs the checks in order and ends with one line, `N passed, N failed`.
 *
 *   node scripts/check.ts          types, lint, layering, format, unit, infrastructure and contract tests
 *   node scripts/check.ts --all    also the tests on real servers (hosts' scripts, the emulated AWS) and one rehearsal
 */
import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Result {
  readonly passed: number;
  readonly failed: number;
}

interface Check {
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

const whole = (name: string, program: string, args: readonly string[]): Check => ({
  name,
  run: async () => ((await command(program, args)) === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }),
});

/** A vitest project; counted test by test. A run that reports no test has failed, whatever its exit code. */
const suite = (project: string): Check => ({
  name: `${project} tests`,
  run: async () => {
    const file = join(tmpdir(), `rejoin-${project}-${process.pid}.json`);
    const code = await command('vitest', [
      'run',
      '--project',
      project,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${file}`,
    ]);
    const report = JSON.parse(await readFile(file, 'utf8')) as { numPassedTests: number; numFailedTests: number };
    await rm(file, { force: true });
    const failed = report.numFailedTests || (code === 0 && report.numPassedTests > 0 ? 0 : 1);
    return { passed: report.numPassedTests, failed };
  },
});

const quick: readonly Check[] = [
  whole('types', 'tsc', []),
  whole('lint', 'eslint', ['.', '--max-warnings=0', '--cache', '--cache-location', 'node_modules/.cache/eslint']),
  whole('format', 'prettier', ['--check', '--log-level=warn', '.']),
  whole('layering', 'depcruise', ['bin', 'lib', 'lambdas', 'rehearsal', 'bench', 'scripts', '--output-type', 'err']),
  whole('bundles', 'node', ['scripts/bundle.ts']),
  suite('unit'),
  suite('infra'),
  suite('contract'),
];

const onServers: readonly Check[] = [
  suite('nodes'),
  suite('cloud'),
  whole('rehearsal', 'node', ['rehearsal/main.ts', '--scenario', 'terminate-node']),
  whole('rehearsal of PostgreSQL', 'node', [
    'rehearsal/main.ts',
    '--engine',
    'postgres',
    '--scenario',
    'terminate-writer',
  ]),
];

const checks = process.argv.includes('--all') ? [...quick, ...onServers] : quick;
let passed = 0;
let failed = 0;
const failures: string[] = [];
for (const check of checks) {
  const startedAtMs = Date.now();
  const result = await check.run().catch((error: unknown): Result => {
    console.error(`${check.name}: ${error instanceof Error ? error.message : String(error)}`);
    return { passed: 0, failed: 1 };
  });
  passed += result.passed;
  failed += result.failed;
  if (result.failed > 0) failures.push(check.name);
  const took = ((Date.now() - startedAtMs) / 1000).toFixed(1);
  console.log(
    `${result.failed > 0 ? 'FAILED' : 'ok'}  ${check.name}: ${result.passed} passed, ${result.failed} failed, ${took} s\n`,
  );
}
if (failures.length > 0) console.log(`failed: ${failures.join(', ')}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
