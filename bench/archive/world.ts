/** What the parts of the archive's benchmark share while it runs. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AddressBlock } from '../../rehearsal/addresses.ts';
import { takeAddresses } from '../../rehearsal/addresses.ts';
import type { Cleanup } from '../../rehearsal/cleanup.ts';
import { runner, type Runner } from './measure.ts';
import { startS3, type LocalS3 } from './s3.ts';

export interface World {
  /** Everything of this run lies below it; the databases' user can enter it. */
  readonly dir: string;
  /** A folder in memory, where there is one. */
  readonly ram: string;
  readonly s3: LocalS3;
  readonly addresses: AddressBlock;
  readonly cleanup: Cleanup;
  readonly runner: Runner;
  /** Prints a line of progress. */
  readonly say: (line: string) => void;
}

const say = (what: string): void => console.log(`${new Date().toISOString().slice(11, 19)}  ${what}`);

/** A folder, addresses and an S3 server of this run's own, which the clean-up takes away. */
export async function makeWorld(cleanup: Cleanup): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'rejoin-archive-'));
  chmodSync(dir, 0o755); // the databases run as a user of their own
  cleanup.add('the work folder', () => {
    if (cleanup.keepFiles) console.error(`logs are in ${dir}`);
    else rmSync(dir, { recursive: true, force: true });
  });
  const runs = join(dir, 'runs');
  mkdirSync(runs);
  const addresses = takeAddresses(process.pid);
  cleanup.add('the address block', () => addresses.release());
  const s3 = await startS3(dir, cleanup);
  const ram = existsSync('/dev/shm') ? '/dev/shm' : dir;
  return { dir, ram, s3, addresses, cleanup, runner: runner(runs, cleanup), say };
}
