/** What a person asks for: maintenance, the brake, an acknowledgement, an accepted loss. Invoked by hand, so its caller sees its failure. */
import { Duration } from 'aws-cdk-lib';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { Construct } from 'constructs';
import * as allow from '../permissions.ts';
import type { Foundation } from './foundation.ts';
import type { HostDocuments } from './host-documents.ts';
import { PlaneFunction } from './plane-function.ts';
import type { WorkQueue } from './queues.ts';

export interface OperateProps {
  readonly foundation: Foundation;
  readonly ledger: Table;
  readonly reconcile: WorkQueue;
  /** What is asked for later goes through it. */
  readonly signals: WorkQueue;
  readonly documents: HostDocuments;
}

export class Operate extends Construct {
  readonly function: PlaneFunction;

  constructor(scope: Construct, id: string, props: OperateProps) {
    super(scope, id);
    const { foundation, ledger, reconcile, signals, documents } = props;
    this.function = new PlaneFunction(this, 'Function', {
      foundation,
      name: 'operate',
      timeout: Duration.seconds(30),
      environment: {
        LEDGER_TABLE: ledger.tableName,
        RECONCILE_QUEUE_URL: reconcile.queue.queueUrl,
        SIGNALS_QUEUE_URL: signals.queue.queueUrl,
        DOCUMENT_PREFIX: documents.prefix,
      },
      statements: [
        allow.listSpecs(this),
        allow.describeInstances(),
        allow.onLedger(ledger, 'BatchGetItem', 'GetItem', 'UpdateItem'),
        // What is lost when a loss is accepted, by the hosts' own word.
        ...allow.runScripts(this, documents.arnsOf(['postgres-position'])),
        allow.sendTo(reconcile.queue, signals.queue),
        allow.useKey(this, foundation.key, ['sqs', 'dynamodb']),
      ],
    });
  }
}
