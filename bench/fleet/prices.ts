/**
 * What a quiet fleet costs. AWS's public prices of eu-west-1 on demand, in US dollars without taxes, free tiers left out:
 * https://aws.amazon.com/lambda/pricing/, https://aws.amazon.com/sqs/pricing/, https://aws.amazon.com/dynamodb/pricing/on-demand/.
 * EC2, Elastic Load Balancing, Route 53 and Systems Manager charge nothing for the calls that are made here; the databases' own
 * hosts, balancers and zones are there without Rejoin too.
 */
import type { ApiUse } from './budget.ts';

const PRICES = {
  /** Lambda on arm64. */
  gigabyteSecond: 0.0000133334,
  millionInvocations: 0.2,
  millionFifoRequests: 0.5,
  millionReadUnits: 0.1415,
  millionWriteUnits: 0.705,
} as const;

/** As the construct has it (lib/capabilities/plane-function.ts). */
const FUNCTION_GB = 0.5;
/** How long a reconcile takes at AWS, mostly waiting for answers; an assumption. */
const RECONCILE_SECONDS = 0.5;
/** The watch runs all the time, and hands over to its next invocation each minute. */
const WATCHES = 1;
/** A strongly consistent read of an item of up to 4 KB is a unit: the cluster's and the brake's. */
const UNITS_A_LEDGER_READ = 2;
/** A message is sent, received in batches of one (each cluster has its own moment) and deleted. */
const REQUESTS_A_MESSAGE = 3;
const MONTH_SECONDS = 730 * 3600;

export interface Cost {
  readonly dollarsPerMonth: number;
  readonly dollarsPerClusterMonth: number;
  readonly parts: Readonly<Record<string, number>>;
}

export interface Consumption {
  readonly clusters: number;
  readonly seconds: number;
  readonly uses: readonly ApiUse[];
  readonly reconciles: number;
}

/** Dollars a month, extrapolated from what was made in `seconds`. */
export function costOf({ clusters, seconds, uses, reconciles }: Consumption): Cost {
  const months = MONTH_SECONDS / seconds;
  const calls = (start: string): number =>
    uses.filter((u) => u.api.startsWith(start)).reduce((sum, u) => sum + u.calls, 0) * months;
  const perMillion = (count: number, dollars: number): number => (count / 1e6) * dollars;
  const runs = reconciles * months;
  const parts = {
    'Lambda, watch': WATCHES * MONTH_SECONDS * FUNCTION_GB * PRICES.gigabyteSecond,
    'Lambda, reconcile':
      runs * RECONCILE_SECONDS * FUNCTION_GB * PRICES.gigabyteSecond + perMillion(runs, PRICES.millionInvocations),
    SQS: perMillion(runs * REQUESTS_A_MESSAGE, PRICES.millionFifoRequests),
    DynamoDB:
      perMillion(calls('dynamodb:BatchGetItem') * UNITS_A_LEDGER_READ, PRICES.millionReadUnits) +
      perMillion(calls('dynamodb:UpdateItem'), PRICES.millionWriteUnits),
  };
  const dollarsPerMonth = Object.values(parts).reduce((a, b) => a + b, 0);
  return { dollarsPerMonth, dollarsPerClusterMonth: dollarsPerMonth / clusters, parts };
}
