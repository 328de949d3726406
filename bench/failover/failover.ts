/**
 * `npm run bench -- failover`: a lost primary under Rejoin and under Patroni, on the same machine, with the same client
 * and the same faults. One system at a time; each goes through every fault in turn, round by round.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeAddresses } from '../../rehearsal/addresses.ts';
import { Cleanup } from '../../rehearsal/cleanup.ts';
import { PG_BIN } from '../../rehearsal/host/postgres-template.ts';
import { startClient } from './client.ts';
import type { Round, System } from './kinds.ts';
import { createSilence, type Silence } from './network.ts';
import type { FailoverOptions } from './options.ts';
import { installPeer, startPatroni, versionsOf } from './patroni.ts';
import { startRejoin } from './rejoin.ts';
import { makeReport, printReport, writeReport, type Report } from './report.ts';
import { runRound } from './round.ts';

const CLIENT_PAUSE_MS = 5;
/** Of Patroni's default loop: the faults of consecutive rounds come at different moments of it. */
const SPREAD_OVER_MS = 10_000;

type Start = (cleanup: Cleanup) => Promise<System>;

interface Ground {
  readonly dir: string;
  readonly silence: Silence;
}

export type Ending = 'held' | 'broken' | 'interrupted';

/**
 * Measures and prints; `held` when every promise that was measured is kept. What it started is ended in any case; after an
 * interruption the measurement's waits may still stand, so the caller exits.
 */
export async function failover(options: FailoverOptions): Promise<Ending> {
  const cleanup = new Cleanup();
  const work = measure(options, cleanup);
  try {
    const report = await Promise.race([work, untilInterrupted()]);
    if (report === 'interrupted') {
      console.log('interrupted; ending everything (once more to leave at once)');
      work.catch(() => undefined); // it fails because its systems are taken away
      return report;
    }
    printReport(report);
    return report.verdicts.every((v) => v.held) ? 'held' : 'broken';
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

async function measure(options: FailoverOptions, cleanup: Cleanup): Promise<Report> {
  const dir = mkdtempSync(join(tmpdir(), 'rejoin-failover-'));
  chmodSync(dir, 0o755); // the databases run as a user of their own
  cleanup.add('the work folder', () => {
    if (cleanup.keepFiles) console.error(`logs are in ${dir}`);
    else rmSync(dir, { recursive: true, force: true });
  });
  const silence = await createSilence(process.pid);
  cleanup.add('the packet filter', () => silence.remove());
  if (options.patroni.length > 0) await installPeer();
  const versions = await versionsOf(PG_BIN, options.patroni.length > 0);
  const rounds: Round[] = [];
  const settings: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const start of starters(options, { dir, silence })) {
    // Its own clean-up, so that it is gone before the next one starts; known to the whole one, in case of Ctrl-C.
    const own = new Cleanup();
    cleanup.add('a system', () => own.run());
    const keepFiles = (): void => {
      for (const each of [own, cleanup]) each.keepFiles = true;
    };
    const startedAtMs = Date.now();
    try {
      const system = await start(own);
      settings[system.name] = system.settings();
      say(
        `${system.name} is up after ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s: ${JSON.stringify(system.settings())}`,
      );
      for await (const round of roundsOf(system, options, own)) {
        rounds.push(round);
        // Written after each round: a long run that comes to grief leaves what it measured.
        if (options.reportFile !== null) await writeReport(makeReport(rounds, settings, versions), options.reportFile);
      }
    } catch (error) {
      keepFiles();
      throw error;
    }
    for (const trouble of await own.run()) console.error(`clean-up: ${trouble}`);
  }
  return makeReport(rounds, settings, versions);
}

function starters(options: FailoverOptions, { dir, silence }: Ground): Start[] {
  const patroni = options.patroni.map((profile): Start => (cleanup) => {
    const addresses = takeAddresses(process.pid);
    cleanup.add('the address block', () => addresses.release());
    const own = { profile, dir: join(dir, profile), addresses, silence, binDir: PG_BIN };
    const { holdSeconds, reseedAfterSeconds } = options;
    return startPatroni({ ...own, holdSeconds, reseedAfterSeconds }, cleanup);
  });
  const rejoin: Start = (cleanup) =>
    startRejoin({ ec2: options.ec2, ec2Tells: options.ec2Tells, silence, log: join(dir, 'rejoin.log') }, cleanup);
  return options.rejoin ? [rejoin, ...patroni] : patroni;
}

async function* roundsOf(system: System, options: FailoverOptions, cleanup: Cleanup): AsyncGenerator<Round> {
  const client = startClient({ endpoint: system.writer, ...system.application, pauseMs: CLIENT_PAUSE_MS });
  cleanup.add('the client', () => client.kill());
  const knownLost = new Set<number>();
  for (let round = 1; round <= options.rounds; round++) {
    // Evenly spread, and the same for every system.
    const waitMs = 2000 + Math.round(((round - 0.5) / options.rounds) * SPREAD_OVER_MS);
    for (const fault of options.faults) yield await runRound(system, client, { fault, round, waitMs, knownLost }, say);
  }
}

const say = (what: string): void => console.log(`${new Date().toISOString().slice(11, 19)}  ${what}`);
