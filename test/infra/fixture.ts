/** The app as deployed from the example file, with bundles that stand in for the real ones: only their place matters here. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Annotations, App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { LaunchTemplate, Subnet, Vpc } from 'aws-cdk-lib/aws-ec2';
import type { ISubnet } from 'aws-cdk-lib/aws-ec2';
import { NetworkTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { afterAll } from 'vitest';
import type { RejoinConfig } from '../../lib/config.ts';
import { parseConfig } from '../../lib/config.ts';
import type { ControlPlaneProps, ManageProps } from '../../lib/index.ts';
import { ControlPlane, Endpoint, Engine } from '../../lib/index.ts';
import { FUNCTION_NAMES } from '../../lib/names.ts';
import { RejoinStack } from '../../lib/rejoin-stack.ts';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

const folders: string[] = [];

/** A new folder of this test file's, gone when its tests are done. */
export function temporary(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `rejoin-infra-${name}-`));
  folders.push(folder);
  return folder;
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export const EXAMPLE = join(ROOT, 'docs', 'example.rejoin.json');

export const exampleConfig = (): RejoinConfig => parseConfig('docs/example.rejoin.json', readFileSync(EXAMPLE, 'utf8'));

/** cdk.json's feature flags, so that tests see what a deployment sees. */
export const context = (): Record<string, unknown> =>
  (JSON.parse(readFileSync(join(ROOT, 'cdk.json'), 'utf8')) as { context: Record<string, unknown> }).context;

/** A folder with a bundle for each of `names`; each differs, as assets with equal content are one. */
export function bundlesOf(names: readonly string[]): string {
  const dir = temporary('bundles');
  for (const name of names) {
    mkdirSync(join(dir, name));
    writeFileSync(join(dir, name, 'index.mjs'), `export const handler = () => ${JSON.stringify(name)};\n`);
  }
  return dir;
}

export const bundleDir = bundlesOf(FUNCTION_NAMES);

export const newApp = (): App => new App({ context: context(), outdir: temporary('cdk') });

export const exampleStack = (app: App = newApp(), config: RejoinConfig = exampleConfig()): RejoinStack =>
  new RejoinStack(app, 'Rejoin', { config, bundleDir });

let synthesized: Template | undefined;

/** The example's template, synthesized once. */
export const exampleTemplate = (): Template => (synthesized ??= Template.fromStack(exampleStack()));

export interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
}

export function resourcesOf(template: Template, type: string): readonly (readonly [string, Resource])[] {
  const all = template.toJSON() as { readonly Resources: Readonly<Record<string, Resource>> };
  return Object.entries(all.Resources).filter(([, r]) => r.Type === type);
}

const ids = ['a', 'b', 'c'] as const;

/** A stack with a plane, for what the file of the app cannot say. */
export function planeStack(props: Partial<ControlPlaneProps> = {}): {
  readonly stack: Stack;
  readonly plane: ControlPlane;
  readonly valid: ManageProps;
} {
  const stack = new Stack(newApp(), 'Test');
  // What a test does not mean must not stand between its lines.
  Annotations.of(stack).acknowledgeWarning('@aws-cdk/aws-ec2:noSubnetRouteTableId', 'no VPC endpoints here');
  const subnets: ISubnet[] = ids.map((z) =>
    Subnet.fromSubnetAttributes(stack, `Subnet${z}`, {
      subnetId: `subnet-0000000${z}`,
      availabilityZone: `eu-west-1${z}`,
    }),
  );
  const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
    vpcId: 'vpc-01234567',
    availabilityZones: ids.map((z) => `eu-west-1${z}`),
  });
  const plane = new ControlPlane(stack, 'Rejoin', { vpc, vpcSubnets: { subnets }, bundleDir, ...props });
  const valid: ManageProps = {
    engine: Engine.galera(),
    nodes: 3,
    launchTemplate: LaunchTemplate.fromLaunchTemplateAttributes(stack, 'Template', {
      launchTemplateId: 'lt-0123456789abcdef0',
    }),
    subnets,
    credentials: Secret.fromSecretCompleteArn(
      stack,
      'Secret',
      'arn:aws:secretsmanager:eu-west-1:111122223333:secret:orders-AbCdEf',
    ),
    endpoints: [Endpoint.targetGroup(targetGroup(stack, 'writer'), { route: 'writer' })],
  };
  return { stack, plane, valid };
}

export const targetGroup = (stack: Stack, name: string) =>
  NetworkTargetGroup.fromTargetGroupAttributes(stack, `Group-${name}`, {
    targetGroupArn: `arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/${name}/0123456789abcdef`,
  });
