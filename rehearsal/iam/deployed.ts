/** Reads what was deployed: stacks with their templates, and roles that were made through the IAM API. */
import { readFile } from 'node:fs/promises';
import {
  CloudFormationClient,
  DescribeStackResourcesCommand,
  DescribeStacksCommand,
  ListExportsCommand,
} from '@aws-sdk/client-cloudformation';
import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
} from '@aws-sdk/client-iam';
import type { Place } from './actions/need.ts';
import type { Statement } from './evaluate.ts';
import type { MotoAccess } from './facts.ts';
import type { Template } from './intrinsics.ts';
import { isAwsManaged } from './managed.ts';
import { combine, managedStatements, readTemplate, trustedServices } from './policies.ts';
import type { Policies, Role } from './policies.ts';
import { statementsOf } from './statements.ts';

export interface DeployedOptions extends MotoAccess {
  readonly place: Place;
  /** Each with the template that it was deployed from, such as cdk.out/Rejoin.template.json. */
  readonly stacks: readonly { readonly name: string; readonly templateFile: string }[];
  /** ARNs of roles made outside the stacks, such as the database hosts'. */
  readonly roleArns?: readonly string[];
}

const ADMIN = { accessKeyId: 'REJOINADMIN', secretAccessKey: 'REJOINADMIN' };

/** All policies of the deployment. Throws when a stack or role does not exist, or a template was not what was deployed. */
export async function deployedPolicies(options: DeployedOptions): Promise<Policies> {
  const { endpoint, region } = options;
  const cloudFormation = new CloudFormationClient({ endpoint, region, credentials: ADMIN });
  const iam = new IAMClient({ endpoint, region, credentials: ADMIN });
  try {
    const stacks = [];
    for (const stack of options.stacks) stacks.push(await readStack(cloudFormation, stack, options.place));
    const roles: Role[] = [];
    for (const arn of options.roleArns ?? []) roles.push(await readRole(iam, arn));
    const problems = roles
      .flatMap((r) => r.statements)
      .flatMap((s) => (s.problem === null ? [] : [`${s.label}: ${s.problem}`]));
    return combine(...stacks, { roles, onResources: new Map(), keys: new Map(), machines: new Map(), problems });
  } finally {
    cloudFormation.destroy();
    iam.destroy();
  }
}

async function readStack(
  client: CloudFormationClient,
  stack: DeployedOptions['stacks'][number],
  place: Place,
): Promise<Policies> {
  const template = JSON.parse(await readFile(stack.templateFile, 'utf8')) as Template;
  const { StackResources: resources = [] } = await client.send(
    new DescribeStackResourcesCommand({ StackName: stack.name }),
  );
  const { Stacks: [described] = [] } = await client.send(new DescribeStacksCommand({ StackName: stack.name }));
  const exports: Record<string, string> = {};
  let token: string | undefined;
  do {
    const page = await client.send(new ListExportsCommand({ NextToken: token }));
    for (const { Name, Value } of page.Exports ?? [])
      if (Name !== undefined && Value !== undefined) exports[Name] = Value;
    token = page.NextToken;
  } while (token !== undefined);
  const pairs = (list: readonly (readonly [string | undefined, string | undefined])[]): Record<string, string> =>
    Object.fromEntries(list.filter((pair): pair is [string, string] => pair[0] !== undefined && pair[1] !== undefined));
  return readTemplate(template, {
    ...place,
    stackName: stack.name,
    physicalIds: pairs(resources.map((r) => [r.LogicalResourceId, r.PhysicalResourceId])),
    parameters: pairs((described?.Parameters ?? []).map((p) => [p.ParameterKey, p.ResolvedValue ?? p.ParameterValue])),
    exports,
  });
}

/** A role as the IAM API has it. A path is part of its ARN, the name is the last step. */
async function readRole(iam: IAMClient, arn: string): Promise<Role> {
  const name = arn.slice(arn.lastIndexOf('/') + 1);
  const RoleName = name;
  const { Role: role } = await iam.send(new GetRoleCommand({ RoleName }));
  const { PolicyNames: inline = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName }));
  const { AttachedPolicies: attached = [] } = await iam.send(new ListAttachedRolePoliciesCommand({ RoleName }));
  const statements: Statement[] = [];
  for (const PolicyName of inline) {
    const policy = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName }));
    statements.push(...statementsOf(json(policy.PolicyDocument), { id: `${name}/${PolicyName}` }));
  }
  for (const { PolicyArn = '' } of attached) statements.push(...(await managedOf(iam, PolicyArn, name)));
  const boundary = role?.PermissionsBoundary?.PermissionsBoundaryArn;
  return {
    arn: role?.Arn ?? arn,
    id: name,
    name,
    statements,
    boundary: boundary === undefined ? null : await managedOf(iam, boundary, `${name}/boundary`),
    trusted: trustedServices(json(role?.AssumeRolePolicyDocument)),
  };
}

async function managedOf(iam: IAMClient, arn: string, id: string): Promise<Statement[]> {
  if (isAwsManaged(arn)) return managedStatements(arn, id);
  const { Policy: policy } = await iam.send(new GetPolicyCommand({ PolicyArn: arn }));
  const { PolicyVersion: version } = await iam.send(
    new GetPolicyVersionCommand({ PolicyArn: arn, VersionId: policy?.DefaultVersionId }),
  );
  return statementsOf(json(version?.Document), { id: `${id}/${arn.slice(arn.lastIndexOf('/') + 1)}` });
}

/** IAM gives documents URL-encoded. */
const json = (document: string | undefined): unknown =>
  document === undefined ? undefined : JSON.parse(decodeURIComponent(document));
