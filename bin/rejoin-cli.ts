/**
 * What a person asks of the archive from a terminal, with the usual AWS credentials and region:
 *
 *   npx rejoin ranges --cluster orders
 *   npx rejoin restore --cluster orders --target 2026-11-20T14:03:07Z --dry-run
 */
import { Command } from 'commander';

const program = new Command('rejoin')
  .description("Rejoin's archive: what can be restored, and restoring it.")
  .option('--prefix <name>', "in front of the plane's names, as it was deployed", 'rejoin');

program
  .command('ranges')
  .description('prints the moments that can be restored, and every hole with its reason')
  .requiredOption('--cluster <name>', 'the cluster, such as orders')
  .option('--json', 'as JSON')
  // The SDK is loaded for what is asked of it only: help comes at once.
  .action(async (options: { cluster: string; json?: boolean }) =>
    (await import('./cli/ranges.ts')).showRanges(options),
  );

program
  .command('restore')
  .description(
    'restores a cluster as it was, as a NEW cluster of one node; the cluster that is there is never touched.\n' +
      'Shows the plan and how far it is. Ctrl-C leaves the restore running.',
  )
  .requiredOption('--cluster <name>', 'the cluster whose archive is restored, such as orders')
  .requiredOption(
    '--target <target>',
    'latest; a time with its zone, 2026-11-20T14:03:07Z or …+01:00; an LSN (PostgreSQL); a GTID (MariaDB); or a restore point',
  )
  .option('--as <name>', "the new cluster's name; by default the old one's with the minute")
  .option('--history <id>', 'which database, when the name has had several; by default the newest')
  .option('--dry-run', 'only makes the plan: base, log, bytes, estimated time, and what will not be in it')
  .action(async (options: { cluster: string; target: string; as?: string; history?: string; dryRun?: boolean }) =>
    (await import('./cli/restore.ts')).startRestore(program.opts<{ prefix: string }>().prefix, options),
  );

try {
  await program.parseAsync();
} catch (error) {
  console.error(`rejoin: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
