/** A function that ships an engine's log: a replication client in the VPC, started each minute for each cluster. */
import { Duration } from 'aws-cdk-lib';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { CfnPermission } from 'aws-cdk-lib/aws-lambda';
import { Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { ShipperName } from '../../names.ts';
import * as archive from '../../permissions-archive.ts';
import * as allow from '../../permissions.ts';
import type { Foundation } from '../foundation.ts';
import type { FunctionNetwork } from '../plane-function.ts';
import { PlaneFunction } from '../plane-function.ts';
import { shipRuleName } from './cluster.ts';

/** It streams for most of it and hands over. Longer saves nothing: each hand-over is one invocation. */
const SHIP_TIMEOUT = Duration.minutes(5);

export interface ShipperProps {
  readonly foundation: Foundation;
  readonly network: FunctionNetwork;
  readonly ledger: Table;
  readonly bucket: Bucket;
  readonly name: ShipperName;
  /** Where its objects go. */
  readonly folders: readonly archive.ArchiveFolder[];
}

export class Shipper extends Construct {
  readonly function: PlaneFunction;

  constructor(scope: Construct, id: string, props: ShipperProps) {
    super(scope, id);
    const { foundation, ledger, bucket, name } = props;
    this.function = new PlaneFunction(this, 'Function', {
      foundation,
      name,
      timeout: SHIP_TIMEOUT,
      network: props.network,
      environment: { LEDGER_TABLE: ledger.tableName, ARCHIVE_BUCKET: bucket.bucketName },
      statements: [
        allow.readSpec(this),
        allow.describeInstances(),
        // Who is the writer, and who ships.
        allow.onLedger(ledger, 'BatchGetItem', 'UpdateItem'),
        archive.listArchive(bucket),
        archive.readArchive(bucket),
        archive.addToArchive(bucket, ...props.folders),
        archive.startAgain(this, `${foundation.prefix}-${name}`),
        allow.useKey(this, foundation.key, ['dynamodb', 's3']),
      ],
    });
    // The next minute's start, or the stream itself, does what a failed one did not: a second attempt would only be in its way.
    this.function.lambda.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(1) });
    this.startedByClusters(foundation.prefix);
  }

  /** Rules of clusters, in whatever stack they are. */
  private startedByClusters(prefix: string): void {
    const rules = Stack.of(this).formatArn({
      service: 'events',
      resource: 'rule',
      resourceName: shipRuleName(prefix, '*'),
    });
    new CfnPermission(this, 'RulesOfClusters', {
      action: 'lambda:InvokeFunction',
      functionName: this.function.lambda.functionArn,
      principal: 'events.amazonaws.com',
      sourceArn: rules,
    });
  }
}
