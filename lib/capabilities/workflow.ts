/** A workflow: the state machine and the one function that does its steps. */
import { Duration, Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { DefinitionBody, LogLevel, StateMachine, StateMachineType } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import type { ArchiveWorkflowName, WorkflowName } from '../names.ts';
import { planeAlarm } from './alarm.ts';
import type { Foundation } from './foundation.ts';
import type { FunctionNetwork } from './plane-function.ts';
import { PlaneFunction } from './plane-function.ts';

/**
 * Longer than any one step's own calls, of which the longest is a CHECKPOINT of a minute; a step that waits for something else
 * answers "not yet" instead of staying. Shorter than the state's own timeout (`lib/workflows/asl.ts`).
 */
const STEP_TIMEOUT = Duration.seconds(90);

interface StepsOfItsOwn {
  readonly name: WorkflowName | Exclude<ArchiveWorkflowName, 'drill'>;
  readonly network: FunctionNetwork;
  readonly environment: Readonly<Record<string, string>>;
  readonly statements: readonly PolicyStatement[];
}

/** Its steps are in the function of another machine. */
interface StepsElsewhere {
  readonly name: 'drill';
  readonly function: PlaneFunction;
}

export type WorkflowProps = MachineProps & (StepsOfItsOwn | StepsElsewhere);

interface MachineProps {
  readonly foundation: Foundation;
  /** The definition in Amazon States Language (JSONPath), for a function's ARN. */
  readonly definition: (args: { readonly functionArn: string }) => object;
}

/** `rejoin-failover`: for policies written by name, which must not depend on the machine. */
export const machineNameOf = ({ prefix }: Foundation, name: WorkflowName | ArchiveWorkflowName): string =>
  `${prefix}-${name}`;

export class Workflow extends Construct {
  readonly function: PlaneFunction;
  readonly machine: StateMachine;
  /** Plain text, where the machine's own name is known only at deployment. */
  readonly machineName: string;
  /** Of the state machine. */
  readonly role: Role;
  private readonly foundation: Foundation;
  private readonly workflow: WorkflowProps['name'];

  constructor(scope: Construct, id: string, props: WorkflowProps) {
    super(scope, id);
    this.foundation = props.foundation;
    this.workflow = props.name;
    this.machineName = machineNameOf(props.foundation, props.name);
    this.function =
      'function' in props
        ? props.function
        : new PlaneFunction(this, 'Function', {
            foundation: props.foundation,
            name: props.name,
            timeout: STEP_TIMEOUT,
            network: props.network,
            environment: props.environment,
            statements: props.statements,
          });
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('states.amazonaws.com'),
      description: `Rejoin: what the workflow ${props.name} may do`,
    });
    this.machine = this.stateMachine(props);
    this.alarms();
  }

  private stateMachine({ foundation, name, definition }: WorkflowProps): StateMachine {
    const stateMachineName = this.machineName;
    const functionArn = this.function.lambda.functionArn;
    this.role.addToPolicy(new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [functionArn] }));
    return new StateMachine(this, 'Machine', {
      stateMachineName,
      stateMachineType: StateMachineType.STANDARD,
      comment: `Rejoin: ${name}`,
      definitionBody: DefinitionBody.fromString(Stack.of(this).toJsonString(definition({ functionArn }))),
      role: this.role,
      tracingEnabled: true,
      logs: {
        level: LogLevel.ALL,
        includeExecutionData: true,
        // Step Functions writes to groups of this prefix without a resource policy that grows with every machine.
        destination: new LogGroup(this, 'Logs', {
          logGroupName: `/aws/vendedlogs/states/${stateMachineName}`,
          retention: foundation.retention,
          encryptionKey: foundation.key,
          removalPolicy: foundation.removalPolicy,
        }),
      },
    });
  }

  private alarms(): void {
    const metric = { statistic: 'Sum', period: Duration.minutes(1) } as const;
    planeAlarm(this, this.foundation, {
      name: `${this.workflow}-workflow-failed`,
      says: `A ${this.workflow} workflow gave up: a node or a cluster needs a person.`,
      metric: this.machine.metricFailed(metric),
      threshold: 1,
    });
    planeAlarm(this, this.foundation, {
      name: `${this.workflow}-workflow-timed-out`,
      says: `A ${this.workflow} workflow ran out of time and left no report.`,
      metric: this.machine.metricTimedOut(metric),
      threshold: 1,
    });
  }
}
