import { describe, expect, it } from 'vitest';
import { galeraEngineSchema } from '../../../lambdas/model/spec.ts';

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----';
const engine = (tls: unknown): unknown => ({ kind: 'galera', port: 3306, tls });

describe("the engine's TLS", () => {
  it.each([
    ['off', 'off'],
    ['required', 'required'],
    ['a CA', { ca: PEM }],
    ['two CAs, with a last line feed', { ca: `${PEM}\n${PEM}\n` }],
  ])('may be %s', (_, tls) => {
    expect(galeraEngineSchema.parse(engine(tls))).toEqual(engine(tls));
  });

  it('may be left out, as in the specifications that are stored already', () => {
    expect(galeraEngineSchema.parse({ kind: 'galera', port: 3306 })).toEqual({ kind: 'galera', port: 3306 });
  });

  it.each([
    ['a word nobody knows', 'on', ['tls'], /give "off", "required", or/],
    ['a switch', true, ['tls'], /give "off", "required", or/],
    ['a path instead of the text', { ca: '/etc/ca.pem' }, ['tls', 'ca'], /the text of a CA certificate in PEM/],
    ['a private key', { ca: PEM.replaceAll('CERTIFICATE', 'PRIVATE KEY') }, ['tls', 'ca'], /a CA certificate in PEM/],
  ])('is refused when it is %s', (_, tls, path, mend) => {
    const issues = galeraEngineSchema.safeParse(engine(tls)).error?.issues ?? [];
    expect(issues).toMatchObject([{ path, message: expect.stringMatching(mend) as string }]);
  });
});
