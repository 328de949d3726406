/**
 * Bundle sizes and start times. A start is what Lambda's init phase does on a fresh sandbox: start Node, import the
 * handler's module. The peer is the same handler bundled by esbuild as `NodejsFunction` would by default (minified,
 * AWS SDK included), without the trimming of `scripts/bundle.ts`; both are run in turn, so that a noisy machine is
 * noisy for both.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const run = promisify(execFile);

interface Figure {
  readonly function: string;
  readonly bytes: number;
  readonly plainBytes: number;
  /** Milliseconds from the start of the process to the module being loaded, less what an empty module takes. */
  readonly startMs: Spread;
  readonly plainStartMs: Spread;
  readonly sizeRatio: number;
  readonly startRatio: number;
}

interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export const spread = (values: readonly number[]): Spread => {
  const sorted = [...values].sort((a, b) => a - b);
  const pick = (i: number): number => Math.round((sorted[i] ?? Number.NaN) * 10) / 10;
  return { min: pick(0), median: pick(Math.floor(sorted.length / 2)), max: pick(sorted.length - 1) };
};

/** What handlers read from their environment when they load; the values are never called. */
const environment = {
  PATH: process.env['PATH'] ?? '',
  AWS_REGION: 'eu-west-1',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
  LEDGER_TABLE: 'ledger',
  SIGNALS_QUEUE_URL: 'http://127.0.0.1/signals',
  RECONCILE_QUEUE_URL: 'http://127.0.0.1/reconcile.fifo',
  REPLACE_STATE_MACHINE_ARN: 'arn:aws:states:eu-west-1:123456789012:stateMachine:replace',
  BOOTSTRAP_STATE_MACHINE_ARN: 'arn:aws:states:eu-west-1:123456789012:stateMachine:bootstrap',
  NOTIFY_TOPIC_ARN: 'arn:aws:sns:eu-west-1:123456789012:notify',
  DOCUMENT_PREFIX: 'rejoin-',
  PROBE_INTERVAL_MS: '1000',
  SWEEP_SECONDS: '180',
  POWERTOOLS_SERVICE_NAME: 'bench',
  POWERTOOLS_METRICS_NAMESPACE: 'Rejoin',
};

/** Loads the module in a fresh Node and answers the milliseconds that the process lived until then. */
async function start(module: string): Promise<number> {
  const script = `const m = await import(${JSON.stringify(module)}); if (${JSON.stringify(module)}.endsWith('index.mjs') && typeof m.handler !== 'function') throw new Error('no handler'); process.stdout.write(String(performance.now())); process.exit(0)`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { env: environment });
  return Number(stdout);
}

async function plainBundle(name: string, outDir: string): Promise<string> {
  const outfile = join(outDir, name, 'index.mjs');
  await build({
    entryPoints: [`lambdas/${name}/handler.ts`],
    outfile,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    logLevel: 'error',
  });
  return outfile;
}

/** Measures every function under dist/lambdas, prints a table, and writes it as JSON when asked. */
export async function coldStart(options: { readonly runs: number; readonly reportFile: string | null }): Promise<void> {
  await run(process.execPath, ['scripts/bundle.ts']);
  const names = (await readdir('dist/lambdas')).sort();
  const scratch = await mkdtemp(join(tmpdir(), 'rejoin-bench-'));
  try {
    const empty = join(scratch, 'empty.mjs');
    await writeFile(empty, 'export const handler = () => undefined;\n');
    const figures: Figure[] = [];
    for (const name of names) {
      const ours = resolve('dist/lambdas', name, 'index.mjs');
      const plain = await plainBundle(name, scratch);
      const [base, our, their]: [number[], number[], number[]] = [[], [], []];
      for (let i = 0; i < options.runs; i++) {
        base.push(await start(empty));
        our.push(await start(ours));
        their.push(await start(plain));
      }
      const node = spread(base).median;
      const startMs = spread(our.map((ms) => ms - node));
      const plainStartMs = spread(their.map((ms) => ms - node));
      const bytes = (await stat(ours)).size;
      const plainBytes = (await stat(plain)).size;
      figures.push({
        function: name,
        bytes,
        plainBytes,
        startMs,
        plainStartMs,
        sizeRatio: Math.round((bytes / plainBytes) * 100) / 100,
        startRatio: Math.round((startMs.median / plainStartMs.median) * 100) / 100,
      });
    }
    print(figures, options.runs);
    if (options.reportFile !== null) {
      await writeFile(
        options.reportFile,
        `${JSON.stringify({ runs: options.runs, node: process.version, figures }, null, 2)}\n`,
      );
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function print(figures: readonly Figure[], runs: number): void {
  console.log(
    `load of the handler in a fresh process, ms over an empty module: median (min to max) of ${runs}; plain = esbuild without trimming\n`,
  );
  const rows = figures.map((f) => ({
    function: f.function,
    'size, kB': Math.round(f.bytes / 1000),
    'plain, kB': Math.round(f.plainBytes / 1000),
    'size ratio': f.sizeRatio,
    'start, ms': `${f.startMs.median} (${f.startMs.min} to ${f.startMs.max})`,
    'plain start, ms': `${f.plainStartMs.median} (${f.plainStartMs.min} to ${f.plainStartMs.max})`,
    'start ratio': f.startRatio,
  }));
  console.table(rows);
}
