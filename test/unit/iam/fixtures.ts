/** A small stack, as CDK synthesizes it, and facts about it without any server. */
import type { AwsRequest } from '../../../rehearsal/cloud/contract.ts';
import type { Facts, Tags } from '../../../rehearsal/iam/facts.ts';
import type { StackFacts, Template } from '../../../rehearsal/iam/intrinsics.ts';

export const PLACE = { partition: 'aws', region: 'eu-west-1', account: '123456789012' } as const;
const AT = 'eu-west-1:123456789012';

export const STACK: StackFacts = {
  ...PLACE,
  stackName: 'Rejoin',
  physicalIds: {
    Role: 'Rejoin-Role-X1',
    MachineRole: 'Rejoin-MachineRole-X2',
    Policy: 'Rejoin-Policy-X3',
    Queue: `https://sqs.eu-west-1.amazonaws.com/123456789012/signals`,
    Table: 'Rejoin-Table-X4',
    Key: '1111-2222',
    Machine: `arn:aws:states:${AT}:stateMachine:rejoin-replace`,
    Topic: `arn:aws:sns:${AT}:ops`,
  },
};

export const trust = (service: string): object => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: service } }],
});

export const ROLE_ARN = 'arn:aws:iam::123456789012:role/Rejoin-Role-X1';
export const KEY_ARN = `arn:aws:kms:${AT}:key/1111-2222`;

const ROOT = {
  AWS: { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':iam::', { Ref: 'AWS::AccountId' }, ':root']] },
};

/** The template; `statements` are what the function's role may do. */
export function template(statements: readonly object[], changes: Readonly<Record<string, object>> = {}): Template {
  return {
    Resources: {
      Role: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: trust('lambda.amazonaws.com') } },
      MachineRole: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: trust('states.amazonaws.com'),
          Policies: [
            {
              PolicyDocument: {
                Version: '2012-10-17',
                Statement: [
                  {
                    Effect: 'Allow',
                    Action: 'lambda:InvokeFunction',
                    Resource: `arn:aws:lambda:${AT}:function:replace`,
                  },
                ],
              },
            },
          ],
        },
      },
      Policy: {
        Type: 'AWS::IAM::Policy',
        Properties: { Roles: [{ Ref: 'Role' }], PolicyDocument: { Version: '2012-10-17', Statement: statements } },
      },
      Queue: { Type: 'AWS::SQS::Queue', Properties: { KmsMasterKeyId: { 'Fn::GetAtt': ['Key', 'Arn'] } } },
      Table: { Type: 'AWS::DynamoDB::Table' },
      Key: {
        Type: 'AWS::KMS::Key',
        Properties: {
          KeyPolicy: {
            Version: '2012-10-17',
            Statement: [{ Effect: 'Allow', Action: 'kms:*', Principal: ROOT, Resource: '*' }],
          },
        },
      },
      Machine: {
        Type: 'AWS::StepFunctions::StateMachine',
        Properties: { RoleArn: { 'Fn::GetAtt': ['MachineRole', 'Arn'] } },
      },
      Topic: { Type: 'AWS::SNS::Topic', Properties: { KmsMasterKeyId: 'alias/aws/sns' } },
      ...changes,
    },
  };
}

export interface FakeWorld {
  readonly tags?: Readonly<Record<string, Tags>>;
  readonly template?: Awaited<ReturnType<Facts['launchTemplate']>>['data'];
}

/** Facts from values; counts the look-ups. */
export function fakeFacts(world: FakeWorld = {}): Facts & { lookups: number; forgotten: number } {
  const facts = {
    lookups: 0,
    forgotten: 0,
    async ec2Tags(id: string) {
      facts.lookups += 1;
      return world.tags?.[id] ?? {};
    },
    async elbTags(arn: string) {
      facts.lookups += 1;
      return world.tags?.[arn] ?? {};
    },
    launchTemplate: async ({ id }: { readonly id?: string | undefined }) => ({
      id: id ?? 'lt-1',
      data: world.template ?? {},
    }),
    profileRoles: async (profile: string) => ({
      arn: `arn:aws:iam::123456789012:instance-profile/${profile}`,
      roleArns: [`arn:aws:iam::123456789012:role/${profile}`],
    }),
    attachedTo: async () => ['i-1'],
    secret: async (id: string) => ({ arn: id, keyId: null, tags: {} }),
    forget() {
      facts.forgotten += 1;
    },
  };
  return facts;
}

/** A call as the gateway parses it. */
export const call = (
  service: string,
  operation: string,
  params: Record<string, unknown>,
  accessKeyId: string | null = 'K',
): AwsRequest => ({
  service,
  operation,
  params,
  accessKeyId,
  method: 'POST',
  url: '/',
  headers: {},
  body: Buffer.alloc(0),
});
