/**
 * The scripts of `nodes/<engine>/` as SSM documents, named `<prefix><engine>-<script>` (docs/architecture.md, "Hosts").
 *
 * SSM pastes parameters into the script's text before a shell sees it, so each has a pattern without any character that
 * ends a quoted word, and stands in single quotes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stack } from 'aws-cdk-lib';
import { CfnDocument } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import type { HostScript } from './host-scripts.ts';
import { HOST_SCRIPTS, shortNameOf } from './host-scripts.ts';

const environmentName = (parameter: string): string =>
  `REJOIN_PARAM_${parameter.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()}`;

/** Reads a script of `folder` (`nodes/`); text that SSM would take for a parameter is refused, since SSM has no escape for it. */
function scriptText(folder: string, file: string): string {
  const text = readFileSync(join(folder, file), 'utf8');
  const placeholder = /\{\{[^}]*\}\}/.exec(text);
  if (placeholder) {
    throw new Error(
      `nodes/${file} contains ${placeholder[0]}, which SSM replaces by a parameter; write it without double braces`,
    );
  }
  return text;
}

/** Without lines that are comments, since SSM takes 64 KB; what is in here-documents is not the script's own, and stays. */
function withoutComments(text: string): readonly string[] {
  let ending: string | null = null;
  return text.split('\n').filter((line) => {
    if (ending !== null) {
      if (line === ending) ending = null;
      return true;
    }
    ending = /<<'?([A-Z]+)'?/.exec(line)?.[1] ?? null;
    return ending !== null || !/^\s*#/.test(line);
  });
}

/**
 * One self-contained script: parameters as environment, the functions shared by all and by the engine's, those that only some need, then
 * the script itself.
 */
export function documentLines(
  folder: string,
  { engine, script, parameters, libraries = [] }: HostScript,
): readonly string[] {
  const prelude = parameters.map(({ name }) => `export ${environmentName(name)}='{{ ${name} }}'`);
  const files = ['lib.sh', `${engine}/lib.sh`, ...libraries, `${engine}/${script}.sh`];
  return ['#!/bin/sh', ...prelude, ...files.flatMap((file) => withoutComments(scriptText(folder, file)))];
}

export class HostDocuments extends Construct {
  readonly prefix: string;
  private readonly arns: ReadonlyMap<string, string>;

  /** `scripts`: the folder `nodes/`. */
  constructor(scope: Construct, id: string, props: { readonly prefix: string; readonly scripts: string }) {
    super(scope, id);
    this.prefix = `${props.prefix}-`;
    this.arns = new Map(
      HOST_SCRIPTS.map((script) => {
        const shortName = shortNameOf(script);
        const name = `${this.prefix}${shortName}`;
        this.document(name, script, props.scripts);
        return [shortName, Stack.of(this).formatArn({ service: 'ssm', resource: 'document', resourceName: name })];
      }),
    );
  }

  /** ARNs of the documents of these scripts, by short name (`galera-join`). Throws for a script that there is not. */
  arnsOf(shortNames: readonly string[]): readonly string[] {
    return shortNames.map((name) => {
      const arn = this.arns.get(name);
      if (arn === undefined)
        throw new Error(`no host script is called "${name}"; there are ${[...this.arns.keys()].join(', ')}`);
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
    new CfnDocument(this, shortNameOf(script), {
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
