import { NodeUnavailable } from '../../lambdas/cloud/ports.ts';
import type { DbCredentials, DbTarget, PostgresAdmin, SlotChanges, Upstream } from '../../lambdas/cloud/ports.ts';
import type { Position } from '../../lambdas/model/lsn.ts';
import type { UsedTimelines } from '../../lambdas/model/postgres.ts';
import type { FakeAws } from './aws.ts';

/** Every call passes `FakeAws.call`, then goes to `aws.postgres`; without that, nobody answers. */
export class FakeAdmin implements PostgresAdmin {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  detach(target: DbTarget, credentials: DbCredentials): Promise<Position> {
    return this.#on('detach', target, [target], (admin) => admin.detach(target, credentials));
  }

  follow(target: DbTarget, credentials: DbCredentials, upstream: Upstream): Promise<void> {
    return this.#on('follow', target, [target, upstream], (admin) => admin.follow(target, credentials, upstream));
  }

  setSync(target: DbTarget, credentials: DbCredentials, expected: string | null, next: string): Promise<void> {
    return this.#on('setSync', target, [target, expected, next], (admin) =>
      admin.setSync(target, credentials, expected, next),
    );
  }

  setSlots(target: DbTarget, credentials: DbCredentials, slots: SlotChanges): Promise<void> {
    return this.#on('setSlots', target, [target, slots], (admin) => admin.setSlots(target, credentials, slots));
  }

  passOver(target: DbTarget, credentials: DbCredentials, used: UsedTimelines): Promise<boolean> {
    return this.#on('passOver', target, [target, used], (admin) => admin.passOver(target, credentials, used));
  }

  promote(target: DbTarget, credentials: DbCredentials): Promise<void> {
    return this.#on('promote', target, [target], (admin) => admin.promote(target, credentials));
  }

  verifyWritable(target: DbTarget, credentials: DbCredentials): Promise<Position> {
    return this.#on('verifyWritable', target, [target], (admin) => admin.verifyWritable(target, credentials));
  }

  checkpoint(target: DbTarget, credentials: DbCredentials): Promise<void> {
    return this.#on('checkpoint', target, [target], (admin) => admin.checkpoint(target, credentials));
  }

  close(): Promise<void> {
    return this.#aws.call('PostgresAdmin.close', [], () => undefined);
  }

  async #on<T>(
    operation: keyof PostgresAdmin,
    target: DbTarget,
    args: readonly unknown[],
    act: (admin: PostgresAdmin) => Promise<T>,
  ): Promise<T> {
    await this.#aws.call(`PostgresAdmin.${operation}`, args, () => undefined);
    if (this.#aws.postgres === null) throw new NodeUnavailable(`${target.instanceId} does not answer within 1.5 s`);
    return act(this.#aws.postgres);
  }
}
