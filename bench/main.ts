/** `npm run bench -- <name>`: measurements, as ratios against a peer in the same run. */
import { Command } from 'commander';
import { coldStart } from './cold-start.ts';

const program = new Command('npm run bench --').description(
  'Measurements of Rejoin, each against a peer in the same run.',
);

program
  .command('cold-start')
  .description(
    'sizes of the deployed bundles and the time a fresh process takes to load each, against plain esbuild bundles',
  )
  .option('--runs <n>', 'fresh processes for each figure', '11')
  .option('--report <file>', 'write the figures as JSON')
  .action(async (options: { runs: string; report?: string }) => {
    const runs = Number(options.runs);
    if (!Number.isInteger(runs) || runs < 1)
      throw new Error(`--runs is ${JSON.stringify(options.runs)}; give a whole number of at least 1`);
    await coldStart({ runs, reportFile: options.report ?? null });
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
