/** The account's token buckets in front of the fake AWS. */
import { Account } from '../../simulator/aws/account.ts';
import { apiCalls } from '../../simulator/aws/calls.ts';
import type { Limits } from '../../simulator/aws/limits.ts';
import type { SimClock } from '../../simulator/clock.ts';
import type { Random } from '../../simulator/random.ts';
import { CALL_MS, type Fleet } from './world.ts';

/** From now on every call of the fleet's ports goes through the buckets, and each of its requests takes its time. */
export function throttled(fleet: Fleet, clock: SimClock, random: Random, limits: Limits): Account {
  const account = new Account(clock, random, limits);
  const { backoffMs } = account;
  account.backoffMs = (attempt) => backoffMs(attempt) + CALL_MS;
  fleet.aws.before = async (call) => {
    for (const api of apiCalls(call, { clusters: fleet.size })) {
      await clock.sleep(CALL_MS);
      if (!account.take(api)) await account.tryAgain(api, () => false);
    }
  };
  return account;
}
