/**
 * The scripts of `nodes/galera/` as SSM documents, named `<prefix>galera-<script>` (docs/architecture.md, "Hosts").
 *
 * SSM pastes parameters into the script's text before a shell sees it, so each has a pattern without any character that
 * ends a quoted word, and stands in single quotes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stack } from 'aws-cdk-lib';
import { CfnDocument } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';

interface HostParameter {
  readonly name: string;
  readonly description: string;
  readonly allowedPattern: string;
  readonly default?: string;
}

interface HostScript {
  readonly script: string;
  readonly description: string;
  readonly parameters: readonly HostParameter[];
  readonly timeoutSeconds: number;
}

/**
 * Each script is ended by SSM after its time; a state transfer goes on in MariaDB after `join` has answered. The time is
 * longer than the script's own limits together (a bootstrap that is killed leaves systemd ready to make a second cluster, a
 * crash recovery begins anew), and ends before the workflow's step stops asking (`DEADLINES`).
 */
export const HOST_SCRIPTS: readonly HostScript[] = [
  { script: 'position', description: "Prints this node's position", parameters: [], timeoutSeconds: 1080 },
  {
    script: 'prepare',
    description: 'Makes the data directory ready',
    parameters: [
      { name: 'Source', description: 'volume or peer', allowedPattern: '^(volume|peer)$' },
      {
        name: 'VolumeId',
        description: 'The surviving volume, or none',
        allowedPattern: '^(vol-[0-9a-f]{8,17}|none)$',
        default: 'none',
      },
    ],
    timeoutSeconds: 780,
  },
  {
    script: 'join',
    description: 'Starts MariaDB as a joiner',
    parameters: [
      {
        name: 'Peers',
        description: 'Addresses of living members, comma-separated',
        allowedPattern: '^[0-9A-Za-z.:_-]{1,255}(,[0-9A-Za-z.:_-]{1,255}){0,8}$',
      },
      {
        name: 'Donor',
        description: 'Node that gives the missing state, or any',
        allowedPattern: '^[0-9A-Za-z._-]{1,64}$',
        default: 'any',
      },
    ],
    timeoutSeconds: 600,
  },
  {
    script: 'bootstrap',
    description: 'Starts a new primary component here',
    parameters: [
      {
        name: 'StateUuid',
        description: 'State UUID that the node must still have',
        allowedPattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
      },
      {
        name: 'Seqno',
        description: 'Sequence number that the node must still have',
        allowedPattern: '^-?[0-9]{1,19}$',
      },
    ],
    timeoutSeconds: 1320,
  },
  { script: 'stop', description: 'Shuts MariaDB down cleanly', parameters: [], timeoutSeconds: 600 },
];

const environmentName = (parameter: string): string =>
  `REJOIN_PARAM_${parameter.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()}`;

/** Reads a script; text that SSM would take for a parameter is refused, since SSM has no escape for it. */
function scriptText(folder: string, file: string): string {
  const text = readFileSync(join(folder, file), 'utf8');
  const placeholder = /\{\{[^}]*\}\}/.exec(text);
  if (placeholder) {
    throw new Error(
      `nodes/galera/${file} contains ${placeholder[0]}, which SSM replaces by a parameter; write it without double braces`,
    );
  }
  return text;
}

/** One self-contained script: parameters as environment, the shared functions, then the script itself. */
export function documentLines(folder: string, { script, parameters }: HostScript): readonly string[] {
  const prelude = parameters.map(({ name }) => `export ${environmentName(name)}='{{ ${name} }}'`);
  const text = ['lib.sh', `${script}.sh`].map((file) => scriptText(folder, file)).join('\n');
  return ['#!/bin/sh', ...prelude, ...text.split('\n').filter((line) => !line.startsWith('#!'))];
}

export class HostDocuments extends Construct {
  readonly prefix: string;
  private readonly arns: ReadonlyMap<string, string>;

  constructor(scope: Construct, id: string, props: { readonly prefix: string; readonly scripts: string }) {
    super(scope, id);
    this.prefix = `${props.prefix}-`;
    this.arns = new Map(
      HOST_SCRIPTS.map((script) => {
        const name = `${this.prefix}galera-${script.script}`;
        this.document(name, script, props.scripts);
        return [script.script, Stack.of(this).formatArn({ service: 'ssm', resource: 'document', resourceName: name })];
      }),
    );
  }

  /** ARNs of the documents of these scripts. Throws for a script that there is not. */
  arnsOf(scripts: readonly string[]): readonly string[] {
    return scripts.map((script) => {
      const arn = this.arns.get(script);
      if (arn === undefined)
        throw new Error(`no host script is called "${script}"; there are ${[...this.arns.keys()].join(', ')}`);
      return arn;
    });
  }

  private document(name: string, script: HostScript, folder: string): void {
    const parameters = script.parameters.map((p) => [
      p.name,
      {
        type: 'String',
        description: p.description,
        allowedPattern: p.allowedPattern,
        ...(p.default !== undefined && { default: p.default }),
      },
    ]);
    new CfnDocument(this, script.script, {
      name,
      documentType: 'Command',
      documentFormat: 'JSON',
      targetType: '/AWS::EC2::Instance',
      // A document with a name of its own cannot be replaced; a changed script becomes its next version.
      updateMethod: 'NewVersion',
      content: {
        schemaVersion: '2.2',
        description: `Rejoin: ${script.description}`,
        ...(parameters.length > 0 && { parameters: Object.fromEntries(parameters) as unknown }),
        mainSteps: [
          {
            action: 'aws:runShellScript',
            name: 'run',
            precondition: { StringEquals: ['platformType', 'Linux'] },
            inputs: { timeoutSeconds: String(script.timeoutSeconds), runCommand: documentLines(folder, script) },
          },
        ],
      },
    });
  }
}
