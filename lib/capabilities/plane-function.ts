/**
 * One function of the plane: its bundle, a role with nothing but what is listed, a log group that ends, an alarm on errors.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Duration } from 'aws-cdk-lib';
import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { FunctionName } from '../names.ts';
import { planeAlarm } from './alarm.ts';
import type { Foundation } from './foundation.ts';

/** Where functions that speak to databases run. */
export interface FunctionNetwork {
  readonly vpc: IVpc;
  readonly vpcSubnets: SubnetSelection;
  readonly securityGroup: ISecurityGroup;
}

export interface PlaneFunctionProps {
  readonly foundation: Foundation;
  readonly name: FunctionName;
  readonly timeout: Duration;
  readonly environment: Readonly<Record<string, string>>;
  readonly statements: readonly PolicyStatement[];
  readonly network?: FunctionNetwork;
  readonly reservedConcurrency?: number;
}

export class PlaneFunction extends Construct {
  readonly lambda: LambdaFunction;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: PlaneFunctionProps) {
    super(scope, id);
    const { foundation, name } = props;
    const functionName = `${foundation.prefix}-${name}`;
    const logGroup = new LogGroup(this, 'Logs', {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: foundation.retention,
      encryptionKey: foundation.key,
      removalPolicy: foundation.removalPolicy,
    });
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `Rejoin: what the function ${name} may do`,
    });
    for (const statement of props.statements) this.role.addToPolicy(statement);
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        resources: [logGroup.logGroupArn],
      }),
    );
    if (props.network) this.role.addToPolicy(networkInterfaces());
    this.lambda = new LambdaFunction(this, 'Function', {
      functionName,
      description: `Rejoin: ${name}`,
      code: Code.fromAsset(bundleOf(foundation.bundleDir, name)),
      handler: 'index.handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: 512,
      timeout: props.timeout,
      role: this.role,
      logGroup,
      environment: {
        ...props.environment,
        POWERTOOLS_SERVICE_NAME: name,
        POWERTOOLS_METRICS_NAMESPACE: 'Rejoin',
        LOG_LEVEL: foundation.logLevel,
        NODE_OPTIONS: '--enable-source-maps',
      },
      ...(props.network && {
        vpc: props.network.vpc,
        vpcSubnets: props.network.vpcSubnets,
        securityGroups: [props.network.securityGroup],
      }),
      ...(props.reservedConcurrency !== undefined && { reservedConcurrentExecutions: props.reservedConcurrency }),
    });
    planeAlarm(this, foundation, {
      name: `${name}-errors`,
      says: `The function ${functionName} fails.`,
      metric: this.lambda.metricErrors({ period: Duration.minutes(1) }),
      threshold: 1,
      periods: 3,
    });
  }
}

/** A VPC function's network interfaces are made with its role; EC2 has no finer resource for these calls. */
function networkInterfaces(): PolicyStatement {
  return new PolicyStatement({
    actions: [
      'ec2:CreateNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:DeleteNetworkInterface',
    ],
    resources: ['*'],
  });
}

/** Throws when the bundle has not been built: a deployment must not go on with a function that cannot start. */
function bundleOf(bundleDir: string, name: FunctionName): string {
  const folder = join(bundleDir, name);
  const file = join(folder, 'index.mjs');
  if (existsSync(file)) return folder;
  throw new Error(
    `function ${JSON.stringify(name)}: no bundle at ${file}; expected lambdas/${name}/handler.ts, bundled: run "npm run bundle" and synthesize again`,
  );
}
