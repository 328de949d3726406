import type { AwsRequest } from './contract.ts';

/** One value of a header that may come several times; null when missing. */
export function headerOf(headers: AwsRequest['headers'], name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}
