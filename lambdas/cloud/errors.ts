/** What an AWS error means to us: come back later, a condition that did not hold, or a mistake to be seen. */
import { CloudUnavailable } from './ports.ts';

/** Parts of the SDK's errors that we read; they come from many packages and share no class. */
interface SdkError extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number; readonly requestId?: string };
  readonly $retryable?: { readonly throttling?: boolean };
}

/** Error codes by which services throttle; not all of them come with status 429 or 5xx. */
const THROTTLED = new Set([
  'BandwidthLimitExceeded',
  'EC2ThrottledException',
  'LimitExceededException',
  'PriorRequestNotComplete', // Route 53: one change in flight per zone
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'SlowDown',
  'ThrottledException',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
  'TransactionInProgressException',
]);

/** Node's and the SDK's names for "no answer came". */
const NO_ANSWER = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EAI_AGAIN',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'NetworkingError',
  'TimeoutError',
]);

const isError = (e: unknown): e is SdkError => e instanceof Error;

/** Did AWS (or the network) fail for now, so that the same call may succeed later. */
export function isTransient(error: unknown): boolean {
  if (!isError(error)) return false;
  const status = error.$metadata?.httpStatusCode;
  return (
    error instanceof CloudUnavailable ||
    error.$retryable?.throttling === true ||
    THROTTLED.has(error.name) ||
    NO_ANSWER.has(error.name) ||
    (error.code !== undefined && NO_ANSWER.has(error.code)) ||
    status === 429 ||
    (status !== undefined && status >= 500)
  );
}

/** Is it one of these AWS error codes. */
export const isCode = (error: unknown, ...codes: readonly string[]): error is Error =>
  isError(error) && codes.includes(error.name);

/**
 * Makes one AWS call and names it in whatever error comes out. `call` is written as in IAM: `ec2:RunInstances`.
 * @throws CloudUnavailable when the SDK's retries ended with throttling, a failure of AWS or no answer.
 * @throws the SDK's own error otherwise (AccessDenied, validation, conditions), its message led by the call's name.
 */
export async function aws<T>(call: string, send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    if (!isError(error)) throw error;
    if (isTransient(error)) {
      const attempts = error.$metadata?.attempts;
      const tried = attempts === undefined ? '' : ` after ${attempts} attempts`;
      throw new CloudUnavailable(`${call} failed${tried}: ${error.name}: ${error.message}`, { cause: error });
    }
    error.message = `${call}: ${error.message}`;
    throw error;
  }
}
