/** Looks after the archive each minute: measures what can be restored, starts what is due, lets go of what is past the retention. */
import { Duration } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import * as archive from '../../permissions-archive.ts';
import * as allow from '../../permissions.ts';
import { planeAlarm } from '../alarm.ts';
import type { Foundation } from '../foundation.ts';
import type { FunctionNetwork } from '../plane-function.ts';
import { PlaneFunction } from '../plane-function.ts';
import { machineNameOf } from '../workflow.ts';
import type { ArchiveWorkflows } from './workflows.ts';

const KEEPER_TIMEOUT = Duration.seconds(90);

export interface KeeperProps {
  readonly foundation: Foundation;
  readonly network: FunctionNetwork;
  readonly bucket: Bucket;
  readonly workflows: ArchiveWorkflows;
}

export class Keeper extends Construct {
  readonly function: PlaneFunction;

  constructor(scope: Construct, id: string, props: KeeperProps) {
    super(scope, id);
    const { foundation, bucket, workflows } = props;
    this.function = new PlaneFunction(this, 'Function', {
      foundation,
      name: 'archive',
      timeout: KEEPER_TIMEOUT,
      network: props.network,
      environment: {
        ARCHIVE_BUCKET: bucket.bucketName,
        BACKUP_STATE_MACHINE_ARN: workflows.backup.machine.stateMachineArn,
        DRILL_STATE_MACHINE_ARN: workflows.drill.machine.stateMachineArn,
      },
      statements: [
        allow.listSpecs(this),
        // What the slots on the nodes hold back.
        allow.describeInstances(),
        allow.startWorkflows(this, [machineNameOf(foundation, 'backup'), machineNameOf(foundation, 'drill')]),
        archive.listArchive(bucket),
        archive.readArchive(bucket),
        // Retention writes down what would go, before it goes.
        archive.addToArchive(bucket, 'retention'),
        archive.removeFromArchive(bucket),
        allow.useKey(this, foundation.key, ['s3']),
      ],
    });
    this.schedule();
    planeAlarm(this, foundation, {
      name: 'archive-not-running',
      says: 'Nothing has looked after the archive for five minutes: no backup is started, no hole is noticed.',
      metric: this.function.lambda.metricInvocations({ statistic: 'Sum', period: Duration.minutes(1) }),
      threshold: 1,
      periods: 5,
      below: true,
    });
  }

  /** A missed minute is not made up for. */
  private schedule(): void {
    const { lambda } = this.function;
    lambda.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(1) });
    new Rule(this, 'EveryMinute', {
      description: 'Rejoin: archive',
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [new LambdaFunction(lambda, { retryAttempts: 0, maxEventAge: Duration.minutes(1) })],
    });
  }
}
