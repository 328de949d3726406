/** What permissions depend on besides policies: tags, launch templates, profiles. Read from moto, never through the gateway. */
import {
  DescribeLaunchTemplateVersionsCommand,
  DescribeTagsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import type { ResponseLaunchTemplateData } from '@aws-sdk/client-ec2';
import {
  DescribeTagsCommand as DescribeElbTagsCommand,
  ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { GetInstanceProfileCommand, IAMClient } from '@aws-sdk/client-iam';
import { DescribeSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

export type Tags = Readonly<Record<string, string>>;

export interface LaunchTemplate {
  readonly id: string;
  readonly data: ResponseLaunchTemplateData;
}

export interface Facts {
  /** Tags of any EC2 resource: instance, volume, subnet, template. None for an id that does not exist. */
  ec2Tags(id: string): Promise<Tags>;
  /** Tags of a target group or balancer. */
  elbTags(arn: string): Promise<Tags>;
  launchTemplate(reference: {
    readonly id?: string | undefined;
    readonly name?: string | undefined;
    readonly version: string;
  }): Promise<LaunchTemplate>;
  profileRoles(profile: string): Promise<{ readonly arn: string; readonly roleArns: readonly string[] }>;
  /** Instances that a volume is attached to. */
  attachedTo(volumeId: string): Promise<readonly string[]>;
  secret(id: string): Promise<{ readonly arn: string; readonly keyId: string | null; readonly tags: Tags }>;
  /** Forgets tags and attachments, because a call may have changed them. */
  forget(): void;
}

export interface MotoAccess {
  /** moto itself, not the gateway: a call through the gateway would ask here again. */
  readonly endpoint: string;
  readonly region: string;
}

/** How long an answer may be used again: long enough for one burst of calls, short beside any change of tags. */
const REMEMBER_MS = 500;

const NOT_FOUND = /NotFound|NoSuchEntity|ResourceNotFound/;

/** Facts from moto, as administrator. `close` ends its connections. */
export function motoFacts(access: MotoAccess, nowMs: () => number = Date.now): Facts & { close(): void } {
  const config = {
    ...access,
    credentials: { accessKeyId: 'REJOINADMIN', secretAccessKey: 'REJOINADMIN' },
    maxAttempts: 2,
  };
  const ec2 = new EC2Client(config);
  const elb = new ElasticLoadBalancingV2Client(config);
  const iam = new IAMClient(config);
  const secrets = new SecretsManagerClient(config);
  const cache = new Map<string, { readonly untilMs: number; readonly value: Promise<unknown> }>();

  function remembered<T>(key: string, read: () => Promise<T>): Promise<T> {
    const known = cache.get(key);
    if (known !== undefined && known.untilMs > nowMs()) return known.value as Promise<T>;
    const value = read();
    cache.set(key, { untilMs: nowMs() + REMEMBER_MS, value });
    value.catch(() => cache.delete(key)); // the failure itself reaches whoever asked
    return value;
  }
  /** Nothing by that name has no tags: the policy's condition then decides, as on AWS. */
  const orNoTags = async (read: Promise<Tags>): Promise<Tags> =>
    read.catch((error: unknown) => {
      if (error instanceof Error && NOT_FOUND.test(error.name)) return {};
      throw error;
    });
  const toTags = (tags: readonly { Key?: string | undefined; Value?: string | undefined }[] | undefined): Tags =>
    Object.fromEntries((tags ?? []).map((t) => [t.Key ?? '', t.Value ?? '']));

  return {
    ec2Tags: (id) =>
      remembered(`ec2 ${id}`, () =>
        orNoTags(
          ec2
            .send(new DescribeTagsCommand({ Filters: [{ Name: 'resource-id', Values: [id] }] }))
            .then((a) => toTags(a.Tags)),
        ),
      ),
    elbTags: (arn) =>
      remembered(`elb ${arn}`, () =>
        orNoTags(
          elb
            .send(new DescribeElbTagsCommand({ ResourceArns: [arn] }))
            .then((a) => toTags(a.TagDescriptions?.find((d) => d.ResourceArn === arn)?.Tags)),
        ),
      ),
    launchTemplate: ({ id, name, version }) =>
      remembered(`template ${id ?? name} ${version}`, async () => {
        const which = id === undefined ? { LaunchTemplateName: name } : { LaunchTemplateId: id };
        const { LaunchTemplateVersions: found } = await ec2.send(
          new DescribeLaunchTemplateVersionsCommand({ ...which, Versions: [version] }),
        );
        const template = found?.[0];
        if (template?.LaunchTemplateId === undefined)
          throw new Error(`no launch template ${id ?? name} in version ${version}`);
        return { id: template.LaunchTemplateId, data: template.LaunchTemplateData ?? {} };
      }),
    profileRoles: (profile) =>
      remembered(`profile ${profile}`, async () => {
        const name = profile.slice(profile.lastIndexOf('/') + 1);
        const { InstanceProfile: found } = await iam.send(new GetInstanceProfileCommand({ InstanceProfileName: name }));
        const roleArns = (found?.Roles ?? []).flatMap((role) => (role.Arn === undefined ? [] : [role.Arn]));
        return { arn: found?.Arn ?? profile, roleArns };
      }),
    attachedTo: (volumeId) =>
      remembered(`volume ${volumeId}`, async () => {
        const { Volumes: found } = await ec2.send(
          new DescribeVolumesCommand({ Filters: [{ Name: 'volume-id', Values: [volumeId] }] }),
        );
        return (found ?? []).flatMap((v) =>
          (v.Attachments ?? []).flatMap((a) => (a.InstanceId === undefined ? [] : [a.InstanceId])),
        );
      }),
    secret: (id) =>
      remembered(`secret ${id}`, async () => {
        const found = await secrets.send(new DescribeSecretCommand({ SecretId: id }));
        return { arn: found.ARN ?? id, keyId: found.KmsKeyId ?? null, tags: toTags(found.Tags) };
      }),
    forget: () => cache.clear(),
    close: () => [ec2, elb, iam, secrets].forEach((client) => client.destroy()),
  };
}
