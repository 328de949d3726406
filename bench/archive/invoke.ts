/**
 * What Lambda's runtime does for one invocation: `node invoke.ts BUNDLE EVENT SECONDS` imports the bundle, calls its handler once,
 * and ends. Expects the answer that all is shipped.
 */
import { pathToFileURL } from 'node:url';
import type { Context } from 'aws-lambda';

const [bundle, event, seconds] = process.argv.slice(2);
if (bundle === undefined || event === undefined || seconds === undefined)
  throw new Error('usage: invoke.ts BUNDLE EVENT SECONDS');

const deadlineMs = Date.now() + Number(seconds) * 1000;
const { handler } = (await import(pathToFileURL(bundle).href)) as {
  handler: (event: unknown, context: Partial<Context>) => Promise<unknown>;
};
const context = {
  functionName: process.env['AWS_LAMBDA_FUNCTION_NAME'] ?? '',
  awsRequestId: `bench-${process.pid}`,
  getRemainingTimeInMillis: () => Math.max(0, deadlineMs - Date.now()),
};
const answer = await handler(JSON.parse(event), context);
console.log(JSON.stringify(answer));
process.exit(answer === 'drained' ? 0 : 1);
