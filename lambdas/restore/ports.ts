/** What a restore needs beside what every workflow does. It works without the ledger: the bucket alone is enough. */
import type { ArchiveBucket } from '../cloud/ports.ts';

export interface RestorePorts {
  readonly bucket: ArchiveBucket;
  /** Its name, for the hosts' scripts. */
  readonly bucketName: string;
}
