import { machineOf } from '../../lambdas/cloud/aws-workflows.ts';
import type { ReconcileRequests, Workflows } from '../../lambdas/cloud/ports.ts';
import type { RecoveryInput } from '../../lambdas/model/recovery.ts';
import type { ExecutionState } from '../../lambdas/model/view.ts';
import type { FakeAws } from './aws.ts';
import { FakeAwsError } from './aws.ts';

export class FakeWorkflows implements Workflows {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  start(name: string, input: RecoveryInput): Promise<string> {
    return this.#aws.call('Workflows.start', [name, input], () => {
      const machine = machineOf(input.mode);
      const arn = `arn:aws:states:eu-west-1:123456789012:execution:${machine}:${name}`;
      if (!this.#aws.executions.has(arn)) this.#aws.executions.set(arn, { arn, name, input, state: 'RUNNING' });
      return arn;
    });
  }

  state(executionArn: string): Promise<ExecutionState> {
    return this.#aws.call(
      'Workflows.state',
      [executionArn],
      () => this.#aws.executions.get(executionArn)?.state ?? 'NOT_FOUND',
    );
  }
}

/** Deduplicates as SQS FIFO does: the same cluster and cause within five minutes is one message. */
export class FakeReconcileRequests implements ReconcileRequests {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  send(requests: readonly { readonly cluster: string; readonly cause: string }[]): Promise<void> {
    return this.#aws.call('ReconcileRequests.send', [requests], () => {
      const nowMs = this.#aws.clock.nowMs();
      for (const { cluster, cause } of requests) {
        const doubled = this.#aws.requests.some(
          (r) => r.cluster === cluster && r.cause === cause && nowMs - r.atMs < 300_000,
        );
        if (!doubled) this.#aws.requests.push({ cluster, cause, atMs: nowMs });
      }
    });
  }

  sendLater(cluster: string, delaySeconds: number, cause: string): Promise<void> {
    return this.#aws.call('ReconcileRequests.sendLater', [cluster, delaySeconds, cause], () => {
      if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > 900) {
        throw new FakeAwsError('RangeError', `delaySeconds is ${delaySeconds}: give a whole number from 0 to 900`);
      }
      this.#aws.delayedRequests.push({ cluster, cause, dueAtMs: this.#aws.clock.nowMs() + delaySeconds * 1000 });
    });
  }
}
