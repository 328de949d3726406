import type { Instances, LaunchRequest, Volumes } from '../../lambdas/cloud/ports.ts';
import { CLUSTER_TAG, INCIDENT_TAG, REPLACES_TAG, TEMPLATE_VERSION_TAG } from '../../lambdas/model/spec.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import type { Instance, InstanceState } from '../../lambdas/model/view.ts';
import type { Volume } from '../../lambdas/model/volume.ts';
import type { FakeAws } from './aws.ts';
import { FakeAwsError } from './aws.ts';

const GONE: readonly InstanceState[] = ['shutting-down', 'terminated'];

/** Lets every passage that is due arrive: pending to running, stopping to stopped, shutting-down to terminated. */
function arrive(aws: FakeAws): void {
  for (const [id, passage] of aws.passages) {
    if (passage.atMs > aws.clock.nowMs()) continue;
    aws.passages.delete(id);
    const instance = aws.instances.get(id);
    if (instance === undefined) continue;
    if (passage.to !== 'terminated') {
      aws.instances.set(id, { ...instance, state: passage.to });
      continue;
    }
    for (const v of instance.volumes) {
      const volume = aws.volumes.get(v.volumeId);
      if (v.deleteOnTermination) aws.volumes.delete(v.volumeId);
      else if (volume) aws.volumes.set(v.volumeId, { ...volume, state: 'available', attachedTo: null, device: null });
    }
    aws.instances.set(id, { ...instance, state: 'terminated', privateIp: null, subnetId: null, volumes: [] });
  }
}

export class FakeInstances implements Instances {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  ofCluster(cluster: string): Promise<readonly Instance[]> {
    return this.#aws.call('Instances.ofCluster', [cluster], () => {
      arrive(this.#aws);
      return this.#aws.instances.of(cluster);
    });
  }

  ofEveryCluster(): Promise<ReadonlyMap<string, readonly Instance[]>> {
    return this.#aws.call('Instances.ofEveryCluster', [], () => {
      arrive(this.#aws);
      const tagged = [...this.#aws.instances.values()].filter((i) => i.tags[CLUSTER_TAG] !== undefined);
      return Map.groupBy(tagged, (i) => i.tags[CLUSTER_TAG] ?? '');
    });
  }

  byIds(ids: readonly string[]): Promise<readonly Instance[]> {
    return this.#aws.call('Instances.byIds', [ids], () => {
      arrive(this.#aws);
      return [...new Set(ids)].flatMap((id) => this.#aws.instances.get(id) ?? []);
    });
  }

  launch(request: LaunchRequest): Promise<Instance> {
    return this.#aws.call('Instances.launch', [request], () => {
      arrive(this.#aws);
      const before = this.#aws.launches.get(request.clientToken);
      const launched = before === undefined ? undefined : this.#aws.instances.get(before);
      return launched ?? this.#launchNew(request);
    });
  }

  templateVersion(launchTemplate: ClusterSpec['launchTemplate']): Promise<string> {
    return this.#aws.call('Instances.templateVersion', [launchTemplate], () => this.#version(launchTemplate));
  }

  stop(id: string): Promise<InstanceState> {
    return this.#aws.call('Instances.stop', [id], () =>
      this.#leave(id, 'stopping', 'stopped', this.#aws.stopMs, ['stopping', 'stopped', ...GONE]),
    );
  }

  terminate(id: string): Promise<InstanceState> {
    return this.#aws.call('Instances.terminate', [id], () =>
      this.#leave(id, 'shutting-down', 'terminated', this.#aws.terminateMs, GONE),
    );
  }

  #launchNew(request: LaunchRequest): Instance {
    const aws = this.#aws;
    const zone = aws.subnets.get(request.subnetId);
    if (zone === undefined) {
      throw new FakeAwsError('InvalidSubnetID.NotFound', `The subnet ID '${request.subnetId}' does not exist`);
    }
    const instance = aws.addInstance({
      cluster: request.cluster,
      state: 'pending',
      zone,
      subnetId: request.subnetId,
      tags: {
        [INCIDENT_TAG]: request.incident,
        // EC2 sets these itself.
        'aws:ec2launchtemplate:id': request.launchTemplate.id,
        [TEMPLATE_VERSION_TAG]: this.#version(request.launchTemplate),
        ...(request.replaces === null ? {} : { [REPLACES_TAG]: request.replaces }),
      },
      volumes: aws.templateDevices
        .filter((d) => d.device !== request.withoutDevice)
        .map((d) => ({ volumeId: aws.nextId('vol'), ...d })),
    });
    aws.launches.set(request.clientToken, instance.id);
    aws.passages.set(instance.id, { to: 'running', atMs: aws.clock.nowMs() + aws.bootMs });
    return instance;
  }

  #version({ id, version }: ClusterSpec['launchTemplate']): string {
    const template = this.#aws.templates.get(id);
    if (template === undefined) {
      throw new FakeAwsError('InvalidLaunchTemplateId.NotFound', `The launch template '${id}' does not exist`);
    }
    if (version === '$Latest') return String(template.latest);
    if (version === '$Default') return String(template.default);
    const number = Number(version);
    if (Number.isInteger(number) && number >= 1 && number <= template.latest) return version;
    throw new FakeAwsError(
      'InvalidLaunchTemplateId.VersionNotFound',
      `Could not find launch template version '${version}' of '${id}'`,
    );
  }

  #leave(
    id: string,
    via: InstanceState,
    to: InstanceState,
    ms: number,
    already: readonly InstanceState[],
  ): InstanceState {
    arrive(this.#aws);
    const instance = this.#aws.instances.get(id);
    if (instance === undefined) {
      throw new FakeAwsError('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
    }
    if (instance.tags[CLUSTER_TAG] === undefined) {
      throw new FakeAwsError('UnauthorizedOperation', `not authorised: ${id} carries no tag ${CLUSTER_TAG}`);
    }
    if (already.includes(instance.state)) return instance.state;
    this.#aws.instances.set(id, { ...instance, state: via });
    this.#aws.passages.set(id, { to, atMs: this.#aws.clock.nowMs() + ms });
    return via;
  }
}

export class FakeVolumes implements Volumes {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  byIds(ids: readonly string[]): Promise<readonly Volume[]> {
    return this.#aws.call('Volumes.byIds', [ids], () => {
      arrive(this.#aws);
      return [...new Set(ids)].flatMap((id) => this.#aws.volumes.get(id) ?? []);
    });
  }

  ofCluster(cluster: string): Promise<readonly Volume[]> {
    return this.#aws.call('Volumes.ofCluster', [cluster], () => {
      arrive(this.#aws);
      return [...this.#aws.volumes.values()].filter((v) => v.tags[CLUSTER_TAG] === cluster);
    });
  }

  detach(volumeId: string): Promise<void> {
    return this.#aws.call('Volumes.detach', [volumeId], () => {
      const volume = this.#get(volumeId);
      if (volume.attachedTo === null) return;
      const instance = this.#aws.instances.get(volume.attachedTo);
      if (instance !== undefined) {
        const volumes = instance.volumes.filter((v) => v.volumeId !== volumeId);
        this.#aws.instances.set(instance.id, { ...instance, volumes });
      }
      this.#aws.volumes.set(volumeId, { ...volume, state: 'available', attachedTo: null, device: null });
    });
  }

  attach(volumeId: string, instanceId: string, device: string): Promise<void> {
    return this.#aws.call('Volumes.attach', [volumeId, instanceId, device], () => {
      arrive(this.#aws);
      const volume = this.#get(volumeId);
      if (volume.attachedTo === instanceId && volume.device === device) return;
      const instance = this.#aws.instances.get(instanceId);
      if (instance === undefined) throw new FakeAwsError('InvalidInstanceID.NotFound', `no instance '${instanceId}'`);
      if (volume.state !== 'available') {
        throw new FakeAwsError(
          'VolumeInUse',
          `${volumeId} is attached to ${volume.attachedTo ?? 'nothing'} (${volume.state})`,
        );
      }
      const volumes = [...instance.volumes, { volumeId, device, deleteOnTermination: false }];
      this.#aws.instances.set(instanceId, { ...instance, volumes });
      this.#aws.volumes.set(volumeId, { ...volume, state: 'in-use', attachedTo: instanceId, device });
    });
  }

  tag(volumeId: string, tags: Readonly<Record<string, string>>): Promise<void> {
    return this.#aws.call('Volumes.tag', [volumeId, tags], () => {
      const volume = this.#get(volumeId);
      this.#aws.volumes.set(volumeId, { ...volume, tags: { ...volume.tags, ...tags } });
    });
  }

  delete(volumeId: string): Promise<void> {
    return this.#aws.call('Volumes.delete', [volumeId], () => {
      const volume = this.#aws.volumes.get(volumeId);
      if (volume === undefined) return;
      if (volume.state === 'in-use') throw new FakeAwsError('VolumeInUse', `${volumeId} is attached`);
      this.#aws.volumes.delete(volumeId);
    });
  }

  #get(volumeId: string): Volume {
    const volume = this.#aws.volumes.get(volumeId);
    if (volume === undefined)
      throw new FakeAwsError('InvalidVolume.NotFound', `The volume '${volumeId}' does not exist.`);
    return volume;
  }
}
