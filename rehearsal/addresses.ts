/**
 * A block of loopback addresses of one's own, so that rehearsals can run side by side. Linux answers on all of
 * 127.0.0.0/8 without set-up; a rehearsal takes 127.<n>.0.0/16 for as long as it holds the lock file for <n>.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface AddressBlock {
  /** The second octet. */
  readonly octet: number;
  /** Such as 127.42.0.0/16. */
  readonly cidr: string;
  /** An address of the block: `host(3, 4)` is 127.<n>.3.4. */
  host(third: number, fourth: number): string;
  release(): void;
}

const FIRST_OCTET = 20;
const LAST_OCTET = 199;
const locks = join(tmpdir(), 'rejoin-addresses');

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** Creates the lock file, or takes over one whose process is gone. Two takers cannot both win: creation is exclusive. */
function lock(path: string): boolean {
  for (const attempt of [1, 2]) {
    try {
      const fd = openSync(path, 'wx');
      writeSync(fd, String(process.pid));
      closeSync(fd);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (attempt === 2 || alive(Number(readFileSync(path, 'utf8') || process.pid))) return false;
      rmSync(path, { force: true });
    }
  }
  return false;
}

/**
 * Takes a free block. `start` spreads concurrent rehearsals over the range (any number will do).
 * Throws when all 180 blocks are held by running processes.
 */
export function takeAddresses(start: number): AddressBlock {
  mkdirSync(locks, { recursive: true });
  const count = LAST_OCTET - FIRST_OCTET + 1;
  for (let i = 0; i < count; i++) {
    const octet = FIRST_OCTET + ((Math.abs(Math.trunc(start)) + i) % count);
    const path = join(locks, String(octet));
    if (!lock(path)) continue;
    return {
      octet,
      cidr: `127.${octet}.0.0/16`,
      host: (third, fourth) => `127.${octet}.${third}.${fourth}`,
      release: () => rmSync(path, { force: true }),
    };
  }
  throw new Error(
    `all address blocks 127.${FIRST_OCTET}.0.0/16 to 127.${LAST_OCTET}.0.0/16 are held by running processes (lock files in ${locks}); end a rehearsal and try again`,
  );
}
