import * as z from 'zod/mini';
import { clusterName, kindOf } from '../signal.ts';

/** Our own delayed request: a FIFO queue cannot delay one message, so it waits in `signals` and arrives here. */
export const reconcileDue = kindOf(
  { source: 'rejoin', detailTypes: ['Reconcile Due'] },
  z.object({ cluster: clusterName, cause: z.string() }),
  (d) => ({ about: 'clusters', clusters: [d.cluster], summary: `due: ${d.cause}`, isDue: true }),
);
