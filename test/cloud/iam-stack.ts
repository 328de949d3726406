/** A stack in the manner of Rejoin's: one function role, one state machine, encrypted queues, a table, a topic. */
const trust = (service: string): object => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: service } }],
});

const arnOf = (logical: string): object => ({ 'Fn::GetAtt': [logical, 'Arn'] });
const sub = (text: string): object => ({ 'Fn::Sub': text });
const EC2 = 'arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}';
const tagged = (key: string): object => ({ StringLike: { [`${key}/rejoin:cluster`]: '*' } });

const allow = (Sid: string, Action: readonly string[], Resource: readonly unknown[], Condition?: object): object => ({
  Sid,
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition === undefined ? {} : { Condition }),
});

const FUNCTION = [
  allow('Stop', ['ec2:StopInstances'], [sub(`${EC2}:instance/*`)], tagged('ec2:ResourceTag')),
  allow('See', ['ec2:DescribeInstances', 'elasticloadbalancing:DescribeTargetHealth'], ['*']),
  allow('Launch', ['ec2:RunInstances'], [sub(`${EC2}:instance/*`), sub(`${EC2}:volume/*`)], {
    StringEquals: { 'aws:RequestTag/rejoin:cluster': 'orders' },
  }),
  allow(
    'LaunchFrom',
    ['ec2:RunInstances'],
    [
      ...['launch-template', 'subnet', 'security-group', 'network-interface'].map((type) => sub(`${EC2}:${type}/*`)),
      sub('arn:${AWS::Partition}:ec2:${AWS::Region}::image/*'),
    ],
  ),
  allow('Tag', ['ec2:CreateTags'], [sub(`${EC2}:instance/*`), sub(`${EC2}:volume/*`)], {
    StringEquals: { 'ec2:CreateAction': 'RunInstances' },
  }),
  allow('Pass', ['iam:PassRole'], [sub('arn:${AWS::Partition}:iam::${AWS::AccountId}:role/hosts')], {
    StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' },
  }),
  allow('Send', ['sqs:SendMessage'], [arnOf('Queue'), arnOf('Locked')]),
  allow('Never', ['sqs:PurgeQueue'], [arnOf('Queue')]),
  allow('Key', ['kms:Decrypt', 'kms:GenerateDataKey'], [arnOf('Key')], {
    StringEquals: { 'kms:ViaService': sub('sqs.${AWS::Region}.amazonaws.com') },
  }),
  allow('Items', ['dynamodb:BatchGetItem', 'dynamodb:UpdateItem', 'dynamodb:ConditionCheckItem'], [arnOf('Table')]),
  allow(
    'Route',
    ['elasticloadbalancing:ModifyTargetGroupAttributes'],
    [sub('arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:targetgroup/*/*')],
    tagged('aws:ResourceTag'),
  ),
  allow('Records', ['route53:ChangeResourceRecordSets'], ['arn:aws:route53:::hostedzone/*'], {
    'ForAllValues:StringEquals': { 'route53:ChangeResourceRecordSetsNormalizedRecordNames': ['orders.db.internal'] },
  }),
  allow(
    'Secret',
    ['secretsmanager:GetSecretValue'],
    [sub('arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:probe-*')],
  ),
  allow('Tell', ['sns:Publish'], [{ Ref: 'Topic' }]),
  allow(
    'Specs',
    ['ssm:GetParametersByPath'],
    [sub('arn:aws:ssm:${AWS::Region}:${AWS::AccountId}:parameter/rejoin/clusters/*')],
  ),
  allow('Script', ['ssm:SendCommand'], [sub('arn:aws:ssm:${AWS::Region}:${AWS::AccountId}:document/${Document}')]),
  allow('Hosts', ['ssm:SendCommand'], [sub(`${EC2}:instance/*`)], tagged('ssm:resourceTag')),
  allow('Start', ['states:StartExecution'], [{ Ref: 'Machine' }]),
];

const key = {
  Type: 'AWS::KMS::Key',
  Properties: {
    KeyPolicy: {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: 'kms:*',
          Resource: '*',
          Principal: { AWS: sub('arn:${AWS::Partition}:iam::${AWS::AccountId}:root') },
        },
      ],
    },
  },
};

/** Publishes without being allowed to. */
const MACHINE = {
  StartAt: 'Tell',
  States: {
    Tell: {
      Type: 'Task',
      Resource: 'arn:aws:states:::sns:publish',
      Parameters: { TopicArn: '${topic}', Message: 'm' },
      End: true,
    },
  },
};

const role = (service: string, statements: readonly object[]): object => ({
  Type: 'AWS::IAM::Role',
  Properties: {
    AssumeRolePolicyDocument: trust(service),
    Policies: [{ PolicyName: 'own', PolicyDocument: { Version: '2012-10-17', Statement: statements } }],
  },
});

export const SMALL_STACK = {
  AWSTemplateFormatVersion: '2010-09-09',
  Resources: {
    Key: key,
    OtherKey: key,
    Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'signals', KmsMasterKeyId: arnOf('Key') } },
    Locked: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'locked', KmsMasterKeyId: arnOf('OtherKey') } },
    Topic: { Type: 'AWS::SNS::Topic', Properties: { TopicName: 'ops' } },
    Table: {
      Type: 'AWS::DynamoDB::Table',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      },
    },
    Document: {
      Type: 'AWS::SSM::Document',
      Properties: {
        Name: 'Small-say',
        DocumentType: 'Command',
        DocumentFormat: 'JSON',
        Content: {
          schemaVersion: '2.2',
          description: 'says',
          mainSteps: [{ action: 'aws:runShellScript', name: 'say', inputs: { runCommand: ['true'] } }],
        },
      },
    },
    FunctionRole: role('lambda.amazonaws.com', FUNCTION),
    MachineRole: role('states.amazonaws.com', [allow('Call', ['lambda:InvokeFunction'], ['*'])]),
    Machine: {
      Type: 'AWS::StepFunctions::StateMachine',
      Properties: {
        StateMachineName: 'small-machine',
        DefinitionString: { 'Fn::Sub': [JSON.stringify(MACHINE), { topic: { Ref: 'Topic' } }] },
        RoleArn: arnOf('MachineRole'),
      },
    },
  },
};
