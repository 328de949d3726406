/** What AWS refuses for good, as apart from what passes by itself and from mistakes of our own. */
import { CloudUnavailable } from '../cloud/ports.ts';

/** Every error with which a service answers has `$fault` (the SDK's ServiceException); those that pass are wrapped. */
export const isRefusal = (error: unknown): error is Error =>
  error instanceof Error && !(error instanceof CloudUnavailable) && '$fault' in error;
