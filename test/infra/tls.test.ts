import { CfnParameter } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { Engine } from '../../lib/index.ts';
import { exampleConfig, exampleStack, newApp, planeStack, resourcesOf } from './fixture.ts';

const CA = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

const stored = (template: Template): string => JSON.stringify(resourcesOf(template, 'AWS::SSM::Parameter'));

describe("the declaration of the engine's TLS", () => {
  it.each([
    ['left out', {}, /"port\\+":3306\}/],
    ['required', { tls: 'required' }, /"tls\\+":\\+"required/],
    ['of a CA', { tls: { ca: CA } }, /"tls\\+":\{\\+"ca\\+":\\+"-----BEGIN CERTIFICATE/],
  ] as const)('%s is stored as declared', (_, options, expected) => {
    const { stack, plane, valid } = planeStack();
    plane.manage('orders', { ...valid, engine: Engine.galera(options) });
    expect(stored(Template.fromStack(stack))).toMatch(expected);
  });

  it('may be a CA that is known only at deployment', () => {
    const { stack, plane, valid } = planeStack();
    const ca = new CfnParameter(stack, 'DatabaseCa').valueAsString;
    plane.manage('orders', { ...valid, engine: Engine.galera({ tls: { ca } }) });
    expect(stored(Template.fromStack(stack))).toMatch(/"Ref":"DatabaseCa"/);
  });

  it('is refused with the property, the value and the mend', () => {
    const { plane, valid } = planeStack();
    const engine = Engine.galera({ tls: { ca: '/etc/ca.pem' } });
    expect(() => plane.manage('orders', { ...valid, engine })).toThrow(
      /engine\.tls\.ca is "\/etc\/ca\.pem": give the text of a CA certificate in PEM/,
    );
  });

  it('comes from the configuration file too', () => {
    const config = exampleConfig();
    const clusters = config.clusters.map((c) => ({ ...c, engine: { ...c.engine, tls: { ca: CA } } }));
    expect(stored(Template.fromStack(exampleStack(newApp(), { ...config, clusters })))).toMatch(
      /-----BEGIN CERTIFICATE/,
    );
  });
});
