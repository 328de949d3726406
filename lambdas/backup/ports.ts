/** What a backup needs beside what every workflow does. */
import type { ArchiveBucket, Leases } from '../cloud/ports.ts';

export interface BackupPorts {
  readonly bucket: ArchiveBucket;
  /** Its name, for the hosts' scripts. */
  readonly bucketName: string;
  readonly leases: Leases;
}
