/**
 * A network that can be broken: packets between hosts of one machine are dropped by nftables, in both directions and on
 * connections that stand already. A connection is marked when it is made, by who makes it: a host's database server (its
 * group id tells which host; all of them connect from 127.0.0.1) or anybody else (the plane, clients, the balancers).
 * https://wiki.nftables.org/wiki-nftables/index.php/Setting_packet_connection_tracking_metainformation
 */
import { spawn } from 'node:child_process';
import type { AddressBlock } from './addresses.ts';
import { POSTGRES_GROUPS } from './engines/postgres.ts';
import { postgresUnixUser } from './host/postgres-template.ts';

/** Who made a connection: the server of a host (its group id), any server, or whoever is no server. */
export type Origin = { readonly group: number } | 'servers' | 'others';

export interface Partitions {
  /** Connections that `from` makes to the address get through no more; answers how to heal it. */
  cut(from: Origin, address: string): Promise<() => Promise<void>>;
  /** Heals everything. */
  heal(): Promise<void>;
  /** Heals everything and takes the table away. */
  remove(): Promise<void>;
}

/** Mark of connections made by anybody who is no database server; servers carry their group id. */
const OTHERS = 1;

/** Answers what nft says. Throws with its words when it refuses. */
async function nft(commands: string): Promise<void> {
  const child = spawn('nft', ['-f', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT'
          ? new Error(
              'this scenario breaks the network with nft, which is not installed; on Debian or Ubuntu: apt-get install nftables',
            )
          : error,
      ),
    );
    child.once('close', resolve);
    child.stdin.end(commands);
  });
  if (code !== 0) throw new Error(`nft refused ${JSON.stringify(commands.slice(0, 200))}: ${words.trim()}`);
}

/**
 * Installs a table of our own for the address block; nothing outside the block is touched.
 * Throws when we are not root or nft is missing.
 */
export async function installPartitions(addresses: Pick<AddressBlock, 'octet' | 'cidr'>): Promise<Partitions> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      `this scenario breaks the network with nft, which only root may do; we are user ${process.getuid?.()}: run it as root`,
    );
  }
  const table = `ip rejoin_${addresses.octet}`;
  const marks = POSTGRES_GROUPS.map(
    (group) => `ct state new meta skgid ${group} ip daddr ${addresses.cidr} ct mark set ${group}`,
  );
  // The first line of a run that was killed would still be there.
  await nft(`add table ${table}
delete table ${table}
table ${table} {
  chain origin {
    type filter hook output priority -150;
    ct state new meta skuid != ${postgresUnixUser()} ip daddr ${addresses.cidr} ct mark set ${OTHERS}
    ${marks.join('\n    ')}
  }
  chain broken {
    type filter hook output priority 0;
  }
}
`);
  const cuts = new Set<string>();
  const enforce = (): Promise<void> =>
    nft(`flush chain ${table} broken\n${[...cuts].map((rule) => `add rule ${table} broken ${rule}`).join('\n')}\n`);
  const markOf = (from: Origin): string => {
    if (from === 'others') return String(OTHERS);
    if (from === 'servers') return `!= ${OTHERS}`;
    return String(from.group);
  };
  return {
    cut: async (from, address) => {
      const rule = `ct original ip daddr ${address} ct mark ${markOf(from)} drop`;
      cuts.add(rule);
      await enforce();
      return async () => {
        cuts.delete(rule);
        await enforce();
      };
    },
    heal: async () => {
      cuts.clear();
      await enforce();
    },
    remove: () => nft(`delete table ${table}\n`),
  };
}
