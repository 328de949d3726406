/** Writes out what is dirty while the primary still serves, so that its shutdown is a matter of moments. */
import { NodeRefused, NodeUnavailable } from '../../cloud/ports.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { databaseOf, describe } from '../../recovery/nodes.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { SwitchoverState } from '../state.ts';
import { refused } from './claim.ts';

/** @throws RecoveryError SwitchoverRefused, ClaimLost. */
export const checkpoint: Step<SwitchoverState> = async (state, context) => {
  const [spec] = await Promise.all([loadSpec(context), holdClaim(context)]);
  const instance = await describe(context, oldOf(state));
  if (instance === null) throw refused(`EC2 does not know the primary ${oldOf(state)}; expected a running instance`);
  const credentials = await context.ports.secrets.credentials(spec.credentialsSecretArn);
  try {
    await context.ports.admin.checkpoint(databaseOf(spec, instance), credentials);
  } catch (error) {
    if (!(error instanceof NodeUnavailable) && !(error instanceof NodeRefused)) throw error;
    throw refused(`no checkpoint on ${instance.id}: ${error.message}; expected one before its shutdown`);
  }
  return {};
};

export function oldOf({ node }: SwitchoverState): string {
  if (node !== null) return node;
  throw refused('the state names no primary, expected the instance that Claim found');
}

export function candidateOf({ candidate }: SwitchoverState): string {
  if (candidate !== null) return candidate;
  throw refused('the state names no candidate, expected the instance that Claim chose');
}
