import { FakeAws, fakeCloud } from '../fakes/index.ts';
import type { World } from './world.ts';

const SUBNET = { id: 'subnet-00000000000000001', zone: 'eu-west-1a' };

const TEMPLATE = { id: 'lt-00000000000000001', version: '$Default' };

export async function fakeWorld(): Promise<World> {
  const aws = new FakeAws();
  const cloud = fakeCloud(aws);
  aws.subnets.set(SUBNET.id, SUBNET.zone);
  aws.templates.set(TEMPLATE.id, { default: 1, latest: 2 });
  aws.scripts.set('galera-position', () => [{ kind: 'running' }, { kind: 'succeeded', output: '{"seqno":7}' }]);
  return {
    ...cloud,
    subnet: SUBNET,
    template: TEMPLATE,
    addInstance: async (tags) => aws.addInstance({ tags }).id,
    addTargetGroup: async () => {
      const arn = `arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/g/${aws.nextNumber()}`;
      aws.addTargetGroup(arn);
      return arn;
    },
    addZone: async () => {
      const id = `Z${aws.nextNumber()}`;
      aws.addZone(id);
      return id;
    },
    addForeignRecord: async (zoneId, name, value) => {
      aws.addZone(zoneId).set(name, { values: [value], ttlSeconds: 60, owner: null });
    },
    addSpec: async (cluster, json) => {
      aws.specs.set(cluster, json);
    },
    addSecret: async (user, password) => {
      const arn = `arn:aws:secretsmanager:eu-west-1:123456789012:secret:s${aws.nextNumber()}`;
      aws.secrets.set(arn, { user, password });
      return arn;
    },
    changeSecret: async (arn, user, password) => {
      aws.secrets.set(arn, { user, password });
    },
    endExecution: async (arn, state) => aws.endExecution(arn, state),
    nowMs: () => aws.clock.nowMs(),
    passMinutes: (minutes) => aws.clock.advance(minutes * 60_000),
    takeRequests: async () => aws.requests.splice(0),
    takeDelayed: async () => aws.delayedRequests.splice(0),
    takePublished: async () => aws.published.splice(0),
    stop: async () => undefined,
  };
}
