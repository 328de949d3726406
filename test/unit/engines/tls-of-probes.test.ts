import { describe, expect, it } from 'vitest';
import { observe } from '../../../lambdas/reconcile/observe.ts';
import { probeAll } from '../../../lambdas/recovery/nodes.ts';
import { Watch } from '../../../lambdas/watch/watch.ts';
import type { DatabaseTls } from '../../../lambdas/model/spec.ts';
import { aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const CA = { ca: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----' };

function clusterWith(tls?: DatabaseTls) {
  const cloud = fakeCloud();
  const spec = aSpec({ engine: { kind: 'galera', port: 3306, ...(tls !== undefined && { tls }) } });
  return { cloud, spec, instances: healthyCluster(cloud.aws, spec) };
}
type World = ReturnType<typeof clusterWith>;

/** Everybody who probes. */
const probing: readonly (readonly [string, (world: World) => Promise<unknown>])[] = [
  ['reconcile', ({ cloud, spec }) => observe(spec.name, cloud)],
  [
    'a workflow',
    ({ cloud, spec, instances }) =>
      probeAll({ ports: cloud } as unknown as Parameters<typeof probeAll>[0], spec, instances),
  ],
  [
    'the watch',
    ({ cloud }) => {
      const config = { probeIntervalMs: 1000, sweepSeconds: 180, containerId: 'test' };
      return new Watch(cloud, config).run(cloud.clock.nowMs() + 2000);
    },
  ],
];

const tlsOf = (cloud: FakeCloud): unknown[] => [
  ...new Set(cloud.aws.callsOf('Prober.probe').map(({ args }) => (args[0] as { tls?: unknown }).tls)),
];

describe.each(probing)('a probe by %s', (_, run) => {
  it.each([
    ['a CA', CA],
    ['required', 'required'],
    ['nothing', undefined],
  ] as const)("is made with the specification's TLS: %s", async (_what, tls) => {
    const world = clusterWith(tls);
    await run(world);
    expect(tlsOf(world.cloud)).toEqual([tls]);
  });
});
