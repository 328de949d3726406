/**
 * `npm run bench -- archive`: what shipping log to S3 costs here, and what a restore from it takes, beside the tools that
 * people use: pg_receivewal, pgBackRest, mariadb-binlog. Same machine, same S3 server, same log, in turn.
 */
import { getPriority } from 'node:os';
import { Cleanup } from '../../rehearsal/cleanup.ts';
import type { Failure, Round } from './kinds.ts';
import { measureMariaDb } from './mariadb-part.ts';
import type { ArchiveOptions } from './options.ts';
import { startPlane } from './plane.ts';
import { measurePostgres } from './postgres-part.ts';
import type { Outcome } from './race.ts';
import { allHeld, makeReport, printReport, writeReport, type Ground, type Report } from './report.ts';
import { versionsOf } from './versions.ts';
import { makeWorld, type World } from './world.ts';

type Settings = Record<string, unknown>;

export type Ending = 'held' | 'broken' | 'interrupted';

/**
 * Measures and prints; `held` when every promise that was measured is kept. What it started is ended in any case; after an
 * interruption the measurement's waits may still stand, so the caller exits.
 */
export async function archive(options: ArchiveOptions): Promise<Ending> {
  const cleanup = new Cleanup();
  const work = measure(options, cleanup);
  try {
    const report = await Promise.race([work, untilInterrupted()]);
    if (report === 'interrupted') {
      console.log('interrupted; ending everything (once more to leave at once)');
      work.catch(() => undefined); // it fails because its servers are taken away
      return report;
    }
    printReport(report);
    return allHeld(report) ? 'held' : 'broken';
  } finally {
    for (const trouble of await cleanup.run()) console.error(`clean-up: ${trouble}`);
  }
}

function untilInterrupted(): Promise<'interrupted'> {
  return new Promise((resolve) => {
    let seen = false;
    const handler = (): void => {
      if (seen) process.exit(130);
      seen = true;
      resolve('interrupted');
    };
    process.on('SIGINT', handler);
    process.on('SIGTERM', handler);
  });
}

async function* outcomes(options: ArchiveOptions, world: World, settings: Settings): AsyncGenerator<Outcome> {
  const plane = await startPlane(world);
  if (options.parts.some((part) => part !== 'binlog')) yield* measurePostgres(options, world, plane, settings);
  if (options.parts.includes('binlog')) yield* measureMariaDb(options, world, plane, settings);
}

async function measure(options: ArchiveOptions, cleanup: Cleanup): Promise<Report> {
  const versions = await versionsOf(options.parts);
  const world = await makeWorld(cleanup);
  const { s3 } = world;
  const settings: Settings = { niceness: getPriority(), 'size, bytes': options.sizeBytes };
  const ground: Ground = {
    ...{ versions, settings },
    rawS3: { before: await s3.raw(), after: null },
  };
  const rounds: Round[] = [];
  const failures: Failure[] = [];
  try {
    for await (const outcome of outcomes(options, world, settings)) {
      if ('round' in outcome) rounds.push(outcome.round);
      else failures.push(outcome.failure);
      // Written after each round: a long run that comes to grief leaves what it measured.
      const report = makeReport(rounds, failures, ground);
      if (options.reportFile !== null) await writeReport(report, options.reportFile);
    }
  } catch (error) {
    cleanup.keepFiles = true;
    throw error;
  }
  ground.rawS3.after = await s3.raw();
  const report = makeReport(rounds, failures, ground);
  if (options.reportFile !== null) await writeReport(report, options.reportFile);
  return report;
}
