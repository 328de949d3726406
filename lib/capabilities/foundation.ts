/** What every capability of the plane shares: names, the key, log retention, and where alarms go. */
import type { RemovalPolicy } from 'aws-cdk-lib';
import type { Key } from 'aws-cdk-lib/aws-kms';
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { ITopic } from 'aws-cdk-lib/aws-sns';

export interface Foundation {
  /** In front of every name, so that the runbook can print commands. One plane an account and Region. */
  readonly prefix: string;
  readonly key: Key;
  readonly retention: RetentionDays;
  /** Of the ledger, the key and the logs. */
  readonly removalPolicy: RemovalPolicy;
  /** Folder of the bundles, `<bundleDir>/<function>/index.mjs`. */
  readonly bundleDir: string;
  readonly topic: ITopic;
  /** Where alarms point to; `#<alarm>` is added. */
  readonly runbook: string;
  readonly logLevel: string;
}
