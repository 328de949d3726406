import { Logger } from '@aws-lambda-powertools/logger';
import type { Log } from './ports.ts';

/** Structured logs on standard output, by Powertools (service name and level from its environment variables). */
export function powertoolsLog(logger: Logger = new Logger()): Log {
  return {
    info: (message, extra = {}) => logger.info(message, extra),
    warn: (message, extra = {}) => logger.warn(message, extra),
    error: (message, extra = {}) => logger.error(message, extra),
  };
}
