import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Validations } from 'aws-cdk-lib';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { ROOT, exampleConfig, exampleStack, exampleTemplate, newApp, temporary } from './fixture.ts';

/** cfn-lint is installed beside moto, whose place the environment may name. */
const CFN_LINT = join(dirname(process.env['REJOIN_MOTO'] ?? join(ROOT, '.venv', 'bin', 'moto_server')), 'cfn-lint');

/** Synthesizes under cdk-nag, which fails the synthesis for any finding that is not acknowledged. */
function synthesizeChecked(config = exampleConfig(), extend?: (stack: ReturnType<typeof exampleStack>) => void): void {
  const app = newApp();
  const stack = exampleStack(app, config);
  extend?.(stack);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  app.synth();
}

describe('the synthesized app', () => {
  it.each([
    ['for any account', {}],
    ['for a fixed account and Region', { account: '111122223333', region: 'eu-west-1' }],
  ])("has no finding of cdk-nag's AwsSolutions without a reason, %s", (_what, env) => {
    expect(() => synthesizeChecked({ ...exampleConfig(), ...env })).not.toThrow();
  });

  it('would be refused with an open topic in it, so the check looks', () => {
    expect(() => synthesizeChecked(exampleConfig(), (stack) => void new Topic(stack, 'Open'))).toThrow(
      /AwsSolutions-SNS3/,
    );
  });

  it('is clean to cfn-lint', () => {
    const file = join(temporary('lint'), 'template.json');
    writeFileSync(file, JSON.stringify(exampleTemplate().toJSON()));
    // W3005: CDK names a function's role among its dependencies, which the reference to it implies.
    const { status, stdout, error } = spawnSync(
      CFN_LINT,
      ['--ignore-checks', 'W3005', '--regions', 'eu-west-1', '--', file],
      { encoding: 'utf8' },
    );
    expect(error).toBeUndefined();
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});
