/**
 * Which permissions an API call needs: actions, resources and context keys, from AWS's Service Authorization Reference,
 * https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html.
 * What is not in these tables is refused: a permission nobody has looked up cannot be checked.
 */
import type { AwsRequest } from '../cloud/contract.ts';
import type { Facts } from './facts.ts';
import { CannotTell } from './actions/need.ts';
import type { Call, Mapper, Need, Place } from './actions/need.ts';
import { dynamodb } from './actions/dynamodb.ts';
import { ec2 } from './actions/ec2.ts';
import { runInstances } from './actions/run-instances.ts';
import { route53, elasticloadbalancing } from './actions/routing.ts';
import { events, lambda, secretsmanager, sns, sqs, states } from './actions/messaging.ts';
import { ec2messages, ssm, ssmmessages } from './actions/ssm.ts';
import { cloudwatch, kms, logs, sts } from './actions/others.ts';
import { s3 } from './actions/s3.ts';

const SERVICES: Readonly<Record<string, Readonly<Record<string, Mapper>>>> = {
  cloudwatch,
  dynamodb,
  ec2: { ...ec2, RunInstances: runInstances },
  ec2messages,
  elasticloadbalancing,
  events,
  kms,
  lambda,
  logs,
  route53,
  s3,
  secretsmanager,
  sns,
  sqs,
  ssm,
  ssmmessages,
  states,
  sts,
};

/** AWS answers these to anybody with valid credentials. */
const FREE = new Set(['sts:GetCallerIdentity']);

/** Every call whose permissions are known, as `service:Operation`. */
export const KNOWN_CALLS: readonly string[] = Object.entries(SERVICES).flatMap(([service, operations]) =>
  Object.keys(operations).map((operation) => `${service}:${operation}`),
);

/**
 * What the call needs; all of it must be allowed. Throws CannotTell for a call that is not in the tables and for one whose
 * parameters do not say what it touches: the caller must then be refused.
 */
export async function needsOf(request: AwsRequest, place: Place, facts: Facts): Promise<readonly Need[]> {
  const name = `${request.service}:${request.operation}`;
  const mapper = SERVICES[request.service]?.[request.operation];
  if (mapper === undefined) {
    throw new CannotTell(
      `the rehearsal does not know which permission ${name} needs; add it to rehearsal/iam/actions/ from AWS's Service Authorization Reference`,
    );
  }
  const call: Call = { request, params: request.params, place, facts };
  const needs = await mapper(call);
  if (needs.length === 0 && !FREE.has(name)) {
    throw new CannotTell(`the rehearsal cannot tell what ${name} touches: it names no resource`);
  }
  return needs;
}
