import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { takeAddresses, type AddressBlock } from '../../../rehearsal/addresses.ts';

const taken: AddressBlock[] = [];
const take = (start: number): AddressBlock => {
  const block = takeAddresses(start);
  taken.push(block);
  return block;
};
afterEach(() => taken.splice(0).forEach((block) => block.release()));

const lockOf = (block: AddressBlock): string => join(tmpdir(), 'rejoin-addresses', String(block.octet));

describe('address blocks', () => {
  it('gives two takers of the same start two blocks', () => {
    const [a, b] = [take(150), take(150)];
    expect(a.octet).not.toBe(b.octet);
    expect(a.cidr).toBe(`127.${a.octet}.0.0/16`);
    expect(a.host(3, 4)).toBe(`127.${a.octet}.3.4`);
  });

  it('gives a released block again', () => {
    const first = take(155);
    first.release();
    expect(take(155).octet).toBe(first.octet);
  });

  it('takes over the block of a process that has ended, and marks it as its own', () => {
    const first = take(160);
    const ended = spawnSync(process.execPath, ['-e', '']).pid;
    writeFileSync(lockOf(first), String(ended));
    const second = take(first.octet - 20);
    expect(second.octet).toBe(first.octet);
    expect(readFileSync(lockOf(second), 'utf8')).toBe(String(process.pid));
    expect(existsSync(lockOf(second))).toBe(true);
  });
});
