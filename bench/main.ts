/** `npm run bench -- <name>`: measurements, as ratios against a peer in the same run. */
import { Command } from 'commander';
import { archiveKills, archiveKillsOptions } from './archive-kills/archive-kills.ts';
import { archiveLarge, archiveLargeOptions } from './archive-large/archive-large.ts';
import { archive } from './archive/archive.ts';
import { archiveOptions, type RawArchiveOptions } from './archive/options.ts';
import { coldStart } from './cold-start.ts';
import { failover } from './failover/failover.ts';
import { failoverOptions, type RawOptions } from './failover/options.ts';
import { PATRONI_PROFILES } from './failover/patroni-config.ts';
import { fleet, fleetOptions, type RawFleetOptions } from './fleet/fleet.ts';

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
  .option('--reseed-after <s>', "until a member of Patroni's cluster that is no replica again is copied anew", '120')
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

program
  .command('archive-kills')
  .description(
    'kills the shipper at random moments under load: no gap, nothing confirmed is lost, all as the server has it',
  )
  .option('--kills <n>', 'how many times', '200')
  .option('--engine <name>', 'galera or postgres', 'postgres')
  .option('--report <file>', 'write the figures as JSON')
  .action(async (options: { kills: string; engine: string; report?: string }) => {
    process.exit((await archiveKills(archiveKillsOptions(options))) ? 0 : 1);
  });

program
  .command('archive-large')
  .description('one transaction of MariaDB larger than the memory of the shipper: shipped whole, within that memory')
  .option('--size-mb <n>', 'the transaction, in MB', '2048')
  .option('--report <file>', 'write the figures as JSON')
  .action(async (options: { sizeMb: string; report?: string }) => {
    process.exit((await archiveLarge(archiveLargeOptions(options))) ? 0 : 1);
  });

program
  .command('archive')
  .description('shipping log to S3 and restoring from it: speed, CPU, memory, bytes; beside pgBackRest and others')
  .option('--rounds <n>', 'rounds of shipping, for each contestant', '5')
  .option('--restore-rounds <n>', 'rounds of restoring, for each contestant', '3')
  .option('--size-mb <n>', 'log to ship, in MB, of each engine', '1000')
  .option('--only <parts>', 'some of wal, binlog, restore, with commas')
  .option('--report <file>', 'write every round and the figures as JSON')
  .action(async (options: RawArchiveOptions) => {
    const ending = await archive(archiveOptions(options));
    process.exit({ held: 0, broken: 1, interrupted: 130 }[ending]);
  });

program
  .command('fleet')
  .description(
    "the plane's own code over a fake AWS with AWS's limits: bursts of messages, quiet fleets, large target groups",
  )
  .option('--messages <list>', 'messages of the bursts', '100,1000,5000,15000')
  .option('--clusters <list>', 'clusters of the quiet fleets', '100,1000,10000')
  .option('--outage <n>', 'clusters that lose a node with their zone; 0 leaves that out', '1000')
  .option('--seed <n>', 'for which messages come and which nodes are gone', '1')
  .option('--plot <file>', 'draw the figures as SVG')
  .option('--report <file>', 'write the figures as JSON')
  .action(async (options: RawFleetOptions) => {
    process.exit((await fleet(fleetOptions(options))) ? 0 : 1);
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(2);
}
