/** The number that the shipper has among a server's replicas. Pure. */
import { createHash } from 'node:crypto';

/** Above what people number their servers with. */
const LOWEST = 0x8000_0000;

/**
 * The same for a cluster always, and another for another cluster: a server ends the dump of a replica when another comes with
 * the same id, so that of two shippers on one node the later one stays.
 */
export const shipperServerId = (cluster: string): number =>
  LOWEST + (createHash('sha256').update(`rejoin-archive ${cluster}`).digest().readUInt32BE(0) & 0x7fff_ffff);
