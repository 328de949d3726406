/** What a replacement needs beside what every workflow does, where the plane has an archive. */
import type { ArchiveBucket } from '../cloud/ports.ts';

export interface SeedPorts {
  readonly bucket: ArchiveBucket;
  /** Its name, for the hosts' scripts. */
  readonly bucketName: string;
}
