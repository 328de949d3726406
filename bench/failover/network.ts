/**
 * Addresses that answer nothing, as those of a dead host: packets from and to them are dropped on their way in, so that
 * neither the kernel's RST for a process that is gone nor anything else gets through. A table of our own in nftables.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Silence {
  silence(address: string): Promise<void>;
  unsilence(address: string): Promise<void>;
  /** Removes the table. Can be called twice. */
  remove(): Promise<void>;
}

const quieter = (error: unknown): Error => {
  const { stderr, message } = error as { stderr?: string; message?: string };
  return new Error(
    `nft failed: ${(stderr ?? '').trim() || (message ?? String(error))}; the benchmark needs nftables and root`,
  );
};

/** @throws Error when nft is missing or refuses (not root). */
export async function createSilence(pid: number): Promise<Silence> {
  const table = `rejoin_bench_${pid}`;
  const nft = async (commands: string): Promise<void> => {
    const child = run('nft', ['-f', '-']);
    child.child.stdin?.end(commands);
    await child.catch((error: unknown) => {
      throw quieter(error);
    });
  };
  // Dropped where it arrives: dropped where it is sent, the sender would be told (EPERM).
  await nft(`add table inet ${table}
add set inet ${table} dead { type ipv4_addr; }
add chain inet ${table} arriving { type filter hook prerouting priority -300; policy accept; }
add rule inet ${table} arriving ip saddr @dead drop
add rule inet ${table} arriving ip daddr @dead drop
`);
  let there = true;
  return {
    silence: (address) => nft(`add element inet ${table} dead { ${address} }\n`),
    unsilence: (address) => nft(`delete element inet ${table} dead { ${address} }\n`),
    remove: async () => {
      if (!there) return;
      there = false;
      await nft(`delete table inet ${table}\n`);
    },
  };
}
