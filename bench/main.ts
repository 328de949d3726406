/** `npm run bench -- <name>`: measurements, as ratios against a peer in the same run. */
import { Command } from 'commander';
import { coldStart } from './cold-start.ts';
import { failover } from './failover/failover.ts';
import { failoverOptions, type RawOptions } from './failover/options.ts';
import { PATRONI_PROFILES } from './failover/patroni-config.ts';

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

program
  .command('failover')
  .description(
    'a lost primary under Rejoin and under Patroni: write outage, lost writes, time until three nodes stand again',
  )
  .option('--rounds <n>', 'rounds of each fault and system', '5')
  .option('--only <system>', 'patroni or rejoin')
  .option('--fault <name>', 'host-killed, process-killed or host-frozen')
  .option('--patroni <timings>', 'which timings of Patroni', Object.keys(PATRONI_PROFILES).join(','))
  .option('--hold <s>', "until a host that Patroni's cluster has lost is turned on again, after writes are back", '5')
  .option('--report <file>', 'write every round and the figures as JSON')
  .option('--ec2-silent', 'EC2 goes on to say running of a killed host, and sends no event', false)
  .option('--event-delay <ms>', 'EC2: from a change of an instance to its event in the queue', '1000')
  .option('--boot <ms>', 'EC2: from RunInstances to a running host', '20000')
  .option('--shutdown <ms>', 'EC2: the longest a clean shutdown of a host may take', '10000')
  .option('--power-off <ms>', 'EC2: from the end of a shutdown to terminated', '5000')
  .option('--force-stop <ms>', 'EC2: from a forced StopInstances to stopped', '30000')
  .action(async (options: RawOptions) => {
    const ending = await failover(failoverOptions(options));
    // 130 is what a shell says of a command that Ctrl-C ended.
    process.exit({ held: 0, broken: 1, interrupted: 130 }[ending]);
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(2);
}
