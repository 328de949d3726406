import { Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { describe, expect, it } from 'vitest';
import { Engine, ManagedCluster } from '../../lib/index.ts';
import { ARCHIVE_WORKFLOW_NAMES, FUNCTION_NAMES, WORKFLOW_NAMES } from '../../lib/names.ts';
import { bundlesOf, exampleConfig, exampleStack, exampleTemplate, newApp, planeStack, resourcesOf } from './fixture.ts';
import { DEFAULT_QUOTAS } from '../../lib/capabilities/reconcile.ts';

const template = exampleTemplate();

const ARCHIVE_FUNCTIONS = ['ship-postgres', 'ship-galera', 'archive', 'backup', 'restore'];
const MACHINES = [...WORKFLOW_NAMES, ...ARCHIVE_WORKFLOW_NAMES];

const environmentOf = (name: string): string[] => {
  const found = resourcesOf(template, 'AWS::Lambda::Function').find(
    ([, r]) => r.Properties['FunctionName'] === `rejoin-${name}`,
  );
  const environment = found?.[1].Properties['Environment'] as { Variables: Record<string, unknown> };
  return Object.keys(environment.Variables)
    .filter((key) => !/^(POWERTOOLS_|LOG_LEVEL|NODE_OPTIONS|AWS_)/.test(key))
    .sort();
};

describe('functions', () => {
  it('are those of the architecture, on arm64 and Node 24', () => {
    const functions = resourcesOf(template, 'AWS::Lambda::Function');
    expect(functions.map(([, f]) => f.Properties['FunctionName']).sort()).toEqual(
      FUNCTION_NAMES.map((n) => `rejoin-${n}`).sort(),
    );
    for (const [, f] of functions) {
      expect(f.Properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        MemorySize: 512,
        Handler: 'index.handler',
      });
    }
  });

  it.each([
    ['signals', ['PACE', 'RECONCILE_QUEUE_URL']],
    [
      'reconcile',
      [
        'BOOTSTRAP_STATE_MACHINE_ARN',
        'FAILOVER_STATE_MACHINE_ARN',
        'LEDGER_TABLE',
        'NOTIFY_TOPIC_ARN',
        'PACE',
        'RECONCILE_QUEUE_URL',
        'REPLACE_STATE_MACHINE_ARN',
        'SIGNALS_QUEUE_URL',
      ],
    ],
    ['watch', ['LEDGER_TABLE', 'PROBE_INTERVAL_MS', 'RECONCILE_QUEUE_URL', 'SWEEP_SECONDS']],
    ['replace', ['ARCHIVE_BUCKET', 'DOCUMENT_PREFIX', 'LEDGER_TABLE', 'NOTIFY_TOPIC_ARN', 'RECONCILE_QUEUE_URL']],
    ['bootstrap', ['DOCUMENT_PREFIX', 'LEDGER_TABLE', 'NOTIFY_TOPIC_ARN', 'RECONCILE_QUEUE_URL']],
    ['failover', ['DOCUMENT_PREFIX', 'LEDGER_TABLE', 'NOTIFY_TOPIC_ARN', 'RECONCILE_QUEUE_URL']],
    ['switchover', ['DOCUMENT_PREFIX', 'LEDGER_TABLE', 'NOTIFY_TOPIC_ARN', 'RECONCILE_QUEUE_URL']],
    [
      'rolling',
      [
        ...['DOCUMENT_PREFIX', 'LEDGER_TABLE', 'NOTIFY_TOPIC_ARN', 'RECONCILE_QUEUE_URL'],
        ...['REPLACE_STATE_MACHINE_ARN', 'SWITCHOVER_STATE_MACHINE_ARN'],
      ],
    ],
    ['operate', ['DOCUMENT_PREFIX', 'LEDGER_TABLE', 'RECONCILE_QUEUE_URL', 'SIGNALS_QUEUE_URL']],
    ['ship-postgres', ['ARCHIVE_BUCKET', 'LEDGER_TABLE']],
    ['ship-galera', ['ARCHIVE_BUCKET', 'LEDGER_TABLE']],
    ['archive', ['ARCHIVE_BUCKET', 'BACKUP_STATE_MACHINE_ARN', 'DRILL_STATE_MACHINE_ARN']],
    ...['backup', 'restore'].map((name): [string, string[]] => [
      name,
      ['ARCHIVE_BUCKET', 'DOCUMENT_PREFIX', 'LEDGER_TABLE', 'NOTIFY_TOPIC_ARN', 'RECONCILE_QUEUE_URL'],
    ]),
  ])('%s has the environment that the architecture names', (name, expected) => {
    expect(environmentOf(name)).toEqual(expected);
  });

  it('run in the VPC exactly when they speak to databases', () => {
    const inside = resourcesOf(template, 'AWS::Lambda::Function')
      .filter(([, f]) => f.Properties['VpcConfig'] !== undefined)
      .map(([, f]) => f.Properties['FunctionName']);
    const speaking = ['reconcile', 'watch', ...WORKFLOW_NAMES, ...ARCHIVE_FUNCTIONS];
    expect(inside.sort()).toEqual(speaking.map((name) => `rejoin-${name}`).sort());
  });

  it('each write to an encrypted log group that ends', () => {
    const groups = new Map(resourcesOf(template, 'AWS::Logs::LogGroup').map(([id, g]) => [id, g.Properties]));
    for (const properties of groups.values())
      expect(properties).toMatchObject({ RetentionInDays: 90, KmsKeyId: expect.anything() as unknown });
    for (const [, f] of resourcesOf(template, 'AWS::Lambda::Function')) {
      const { LogGroup } = f.Properties['LoggingConfig'] as { LogGroup: { Ref: string } };
      expect(groups.has(LogGroup.Ref)).toBe(true);
    }
    expect(groups.size).toBe(FUNCTION_NAMES.length + MACHINES.length);
  });

  it('are refused at synth when a bundle is missing, naming the file and the command', () => {
    expect(() => planeStack({ bundleDir: bundlesOf(FUNCTION_NAMES.filter((name) => name !== 'operate')) })).toThrow(
      /function "operate": no bundle at .*operate.index\.mjs.*npm run bundle/,
    );
  });
});

describe('queues', () => {
  it('have a dead-letter queue after five receives, and visibility of six function timeouts, the FIFO one of one and a half', () => {
    template.hasResourceProperties('AWS::SQS::Queue', {
      QueueName: 'rejoin-signals',
      VisibilityTimeout: 180,
      RedrivePolicy: { maxReceiveCount: 5 },
    });
    template.hasResourceProperties('AWS::SQS::Queue', {
      QueueName: 'rejoin-reconcile.fifo',
      FifoQueue: true,
      ContentBasedDeduplication: false,
      VisibilityTimeout: 30,
      RedrivePolicy: { maxReceiveCount: 5 },
    });
    template.hasResourceProperties('AWS::SQS::Queue', { QueueName: 'rejoin-reconcile-dlq.fifo', FifoQueue: true });
  });

  it("are all encrypted with the plane's key and refuse plain HTTP", () => {
    const queues = resourcesOf(template, 'AWS::SQS::Queue');
    for (const [, q] of queues) expect(q.Properties['KmsMasterKeyId']).toBeDefined();
    const policies = JSON.stringify(resourcesOf(template, 'AWS::SQS::QueuePolicy'));
    for (const [id] of queues) expect(policies).toContain(`{"Fn::GetAtt":["${id}","Arn"]}`);
    expect(policies.match(/"aws:SecureTransport":"false"/g)).toHaveLength(queues.length);
  });

  it.each(['rejoin-signals', 'rejoin-reconcile'])('%s answers which messages of a batch of ten failed', (name) => {
    const [functionId] =
      resourcesOf(template, 'AWS::Lambda::Function').find(([, f]) => f.Properties['FunctionName'] === name) ?? [];
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      FunctionName: { Ref: functionId },
      BatchSize: 10,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
    });
  });

  const environmentsIn = (of: Template): readonly unknown[] =>
    resourcesOf(of, 'AWS::Lambda::EventSourceMapping').map(([, m]) => m.Properties['ScalingConfig']);
  const paceIn = (of: Template, name = 'reconcile'): unknown => {
    const functions = resourcesOf(of, 'AWS::Lambda::Function');
    const [, found] = functions.find(([, f]) => f.Properties['FunctionName'] === `rejoin-${name}`) ?? [];
    const { Variables } = found?.Properties['Environment'] as { readonly Variables: { readonly PACE: string } };
    return JSON.parse(Variables.PACE);
  };

  it('reconcile has no more environments than AWS answers, and signals none that ask EC2 message by message', () => {
    expect(environmentsIn(template)).toEqual([{ MaximumConcurrency: 2 }, { MaximumConcurrency: 2 }]);
    expect(paceIn(template)).toEqual(DEFAULT_QUOTAS);
    expect(paceIn(template, 'signals')).toEqual({ ...DEFAULT_QUOTAS, environments: 2 });
  });

  it('reconcile keeps to the quotas that the account has', () => {
    const raised = Template.fromStack(planeStack({ quotas: { registrationsPerSecond: 40, environments: 7 } }).stack);
    expect(environmentsIn(raised)).toContainEqual({ MaximumConcurrency: 7 });
    expect(paceIn(raised)).toEqual({ ...DEFAULT_QUOTAS, registrationsPerSecond: 40, environments: 7 });
    for (const environments of [1, 19])
      expect(() => planeStack({ quotas: { environments } })).toThrow(
        `quotas.environments is ${environments}: give a number from 2 to 18`,
      );
  });
});

describe('events', () => {
  it.each([
    ['aws.ec2', 'EC2 Instance State-change Notification'],
    ['aws.ec2', 'EC2 Spot Instance Interruption Warning'],
    ['aws.ec2', 'EC2 Instance Rebalance Recommendation'],
    ['aws.health', 'AWS Health Event'],
    ['aws.autoscaling', 'EC2 Instance Terminate Successful'],
    ['aws.cloudwatch', 'CloudWatch Alarm State Change'],
    ['aws.states', 'Step Functions Execution Status Change'],
  ])('of %s, %s, go to the signals queue with its dead-letter queue behind', (source, detailType) => {
    const rules = resourcesOf(template, 'AWS::Events::Rule').filter(([, r]) => {
      const pattern = r.Properties['EventPattern'] as { source?: string[]; 'detail-type'?: string[] } | undefined;
      return pattern?.source?.includes(source) && pattern['detail-type']?.includes(detailType);
    });
    expect(rules).toHaveLength(1);
    const [queueId] =
      resourcesOf(template, 'AWS::SQS::Queue').find(([, q]) => q.Properties['QueueName'] === 'rejoin-signals') ?? [];
    expect(rules[0]?.[1].Properties['Targets']).toMatchObject([
      { Arn: { 'Fn::GetAtt': [queueId, 'Arn'] }, DeadLetterConfig: { Arn: expect.anything() as unknown } },
    ]);
  });

  it('start the sweep every minute by a rule, at most two at a time', () => {
    template.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 minute)', State: 'ENABLED' });
    template.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'rejoin-watch',
      ReservedConcurrentExecutions: 2,
    });
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      MaximumRetryAttempts: 0,
      DestinationConfig: { OnFailure: { Destination: Match.anyValue() } },
    });
    template.resourceCountIs('AWS::Scheduler::Schedule', 0);
  });

  it('can reach the encrypted queues and topic: the key lets the services of this account in', () => {
    const [, key] = resourcesOf(template, 'AWS::KMS::Key')[0] ?? [];
    expect(key?.Properties['EnableKeyRotation']).toBe(true);
    const { Statement } = key?.Properties['KeyPolicy'] as {
      Statement: { Principal: { Service?: unknown }; Condition?: unknown }[];
    };
    const services = Statement.filter((s) => s.Principal.Service !== undefined);
    expect(services.map((s) => s.Principal.Service)).toEqual(
      expect.arrayContaining([
        'cloudwatch.amazonaws.com',
        'events.amazonaws.com',
        // The only form that the documentation of encrypted log groups gives; a refused group fails the deployment.
        { 'Fn::Join': ['', ['logs.', { Ref: 'AWS::Region' }, '.amazonaws.com']] },
      ]),
    );
    expect(services).toHaveLength(3);
    for (const s of services) expect(s.Condition).toBeDefined();
  });
});

describe('state', () => {
  it('is in one on-demand table, encrypted, recoverable, with an expiry', () => {
    template.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        SSESpecification: { SSEEnabled: true, SSEType: 'KMS' },
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
      },
    });
  });

  it('goes with the stack only on request', () => {
    const thrownAway = Template.fromStack(exampleStack(newApp(), { ...exampleConfig(), destroyWithStack: true }));
    thrownAway.hasResource('AWS::DynamoDB::Table', { DeletionPolicy: 'Delete' });
  });

  it('is told to people through an encrypted topic that alarms may publish to', () => {
    template.hasResourceProperties('AWS::SNS::Topic', { KmsMasterKeyId: Match.anyValue() });
    const policy = JSON.stringify(resourcesOf(template, 'AWS::SNS::TopicPolicy'));
    expect(policy).toContain('cloudwatch.amazonaws.com');
    expect(policy).toContain('"aws:SecureTransport":"false"');
  });

  it('is told through the topic that the platform team gives, and then no other is made', () => {
    const { stack } = planeStack();
    const given = planeStack({ notify: Topic.fromTopicArn(stack, 'Ops', 'arn:aws:sns:eu-west-1:111122223333:ops') });
    const t = Template.fromStack(given.stack);
    t.resourceCountIs('AWS::SNS::Topic', 0);
    expect(JSON.stringify(resourcesOf(t, 'AWS::CloudWatch::Alarm')[0])).toContain(
      'arn:aws:sns:eu-west-1:111122223333:ops',
    );
  });
});

describe('network', () => {
  it("lets the functions out to AWS and to the databases' port, and nothing in", () => {
    const [, group] = resourcesOf(template, 'AWS::EC2::SecurityGroup')[0] ?? [];
    expect(group?.Properties['SecurityGroupIngress']).toBeUndefined();
    expect(group?.Properties['SecurityGroupEgress']).toMatchObject([
      { CidrIp: '0.0.0.0/0', FromPort: 443, ToPort: 443 },
    ]);
    for (const port of [3306, 5432]) {
      const range = { FromPort: port, ToPort: port };
      template.hasResourceProperties('AWS::EC2::SecurityGroupEgress', {
        DestinationSecurityGroupId: 'sg-0123456789abcdef0',
        ...range,
      });
      template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', { GroupId: 'sg-0123456789abcdef0', ...range });
    }
    template.resourceCountIs('AWS::EC2::SecurityGroupEgress', 2);
  });

  it('opens the port of each cluster once, and what is asked for beside', () => {
    const config = exampleConfig();
    const [galera, postgres] = config.clusters;
    if (galera === undefined || postgres?.engine.kind !== 'postgres') throw new Error('expected a cluster of each');
    const onPort = (name: string, port: number) => ({ ...postgres, name, engine: { ...postgres.engine, port } });
    const clusters = [galera, ...[5433, 5433, 5434].map((port, i) => onPort(`accounts${i}`, port))].map((c) => ({
      ...c,
      endpoints: c.endpoints.map((e) => (e.kind === 'dns' ? { ...e, name: c.name } : e)),
    }));
    const opens = Template.fromStack(exampleStack(newApp(), { ...config, databasePorts: [6432, 5433], clusters }));
    const opened = (type: string) =>
      resourcesOf(opens, type)
        .map(([, r]) => r.Properties['FromPort'])
        .sort();
    expect(opened('AWS::EC2::SecurityGroupEgress')).toEqual([3306, 5433, 5434, 6432]);
    expect(opened('AWS::EC2::SecurityGroupIngress')).toEqual([3306, 5433, 5434, 6432]);
  });

  it('opens the port of a cluster in another stack, given to allow', () => {
    const { stack, plane, valid } = planeStack();
    const engine = Engine.postgres({ port: 5433, durability: 'async' });
    const orders = new ManagedCluster(new Stack(stack.node.root, 'Orders'), 'Orders', {
      ...{ ...valid, engine, name: 'orders' },
    });
    plane.allow(orders.access);
    const [, found] = resourcesOf(Template.fromStack(stack), 'AWS::EC2::SecurityGroup')[0] ?? [];
    expect(found?.Properties['SecurityGroupEgress']).toMatchObject([
      { FromPort: 443 },
      { CidrIp: '0.0.0.0/0', FromPort: 5433, ToPort: 5433 },
    ]);
  });

  it('makes endpoints for the services that the functions call, when asked', () => {
    const config = exampleConfig();
    const subnets = config.vpc.subnets.map((s, i) => ({ ...s, routeTableId: `rtb-0000000${i}` }));
    const t = Template.fromStack(
      exampleStack(newApp(), { ...config, vpcEndpoints: true, vpc: { ...config.vpc, subnets } }),
    );
    const services = resourcesOf(t, 'AWS::EC2::VPCEndpoint').map(([, e]) =>
      JSON.stringify(e.Properties['ServiceName']),
    );
    for (const name of [
      'ec2',
      'elasticloadbalancing',
      'sqs',
      'sns',
      'ssm',
      'states',
      'secretsmanager',
      'dynamodb',
      's3',
    ]) {
      expect(
        services.some((s) => s.includes(`.${name}"`)),
        name,
      ).toBe(true);
    }
  });

  it('names the subnets without a route table when endpoints are asked for', () => {
    expect(() => exampleStack(newApp(), { ...exampleConfig(), vpcEndpoints: true })).toThrow(
      /3 of vpc\.subnets have no routeTableId: give it/,
    );
  });
});

describe('workflows', () => {
  it('give a step longer than a CHECKPOINT may take, and end it before Step Functions gives the invocation up', () => {
    for (const name of WORKFLOW_NAMES) {
      const f = resourcesOf(template, 'AWS::Lambda::Function').find(
        ([, r]) => r.Properties['FunctionName'] === `rejoin-${name}`,
      );
      expect(f?.[1].Properties['Timeout'], name).toBeGreaterThan(60 + 10);
      expect(f?.[1].Properties['Timeout'], name).toBeLessThan(150);
    }
  });

  it.each(MACHINES)('%s is a standard machine, logged and traced', (name) => {
    template.hasResourceProperties('AWS::StepFunctions::StateMachine', {
      StateMachineName: `rejoin-${name}`,
      StateMachineType: 'STANDARD',
      TracingConfiguration: { Enabled: true },
      LoggingConfiguration: { Level: 'ALL', IncludeExecutionData: true },
    });
  });
});
