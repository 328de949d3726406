import * as z from 'zod/mini';
import { clusterName, kindOf } from '../signal.ts';

const inputSchema = z.object({ cluster: clusterName });

/**
 * A workflow of ours started or ended; its input names the cluster. AWS leaves the input out when it is large, and other
 * state machines of the account have other inputs: both tell us nothing.
 * https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
 */
export const executionStatusChange = kindOf(
  { source: 'aws.states', detailTypes: ['Step Functions Execution Status Change'] },
  z.object({ executionArn: z.string(), status: z.string(), input: z._default(z.nullable(z.string()), null) }),
  (d) => ({
    about: 'clusters',
    clusters: clusterIn(d.input),
    summary: `${d.executionArn.slice(d.executionArn.lastIndexOf(':') + 1)} is ${d.status}`,
  }),
);

function clusterIn(input: string | null): readonly string[] {
  const parsed = inputSchema.safeParse(input === null ? null : JSON.parse(input));
  return parsed.success ? [parsed.data.cluster] : [];
}
