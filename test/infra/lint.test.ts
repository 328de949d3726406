import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Validations } from 'aws-cdk-lib';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { ROOT, exampleConfig, exampleStack, exampleTemplate, newApp } from './fixture.ts';

/** cfn-lint is installed beside moto, whose place the environment may name. */
const CFN_LINT = join(dirname(process.env['REJOIN_MOTO'] ?? join(ROOT, '.venv', 'bin', 'moto_server')), 'cfn-lint');

/** Rules that report on the app as cdk-nag sees it. */
function nagFindings(config = exampleConfig(), extend?: (stack: ReturnType<typeof exampleStack>) => void): readonly string[] {
  const app = newApp();
  const stack = exampleStack(app, config);
  extend?.(stack);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const assembly = app.synth();
  const report = readFileSync(join(assembly.directory, 'validation-report.json'), 'utf8');
  return [...new Set(report.match(/AwsSolutions-[A-Z0-9]+(\[[^\]]*\])?/g) ?? [])];
}

describe('the synthesized app', () => {
  it('has no finding of cdk-nag\'s AwsSolutions that is not acknowledged with a reason', () => {
    expect(nagFindings()).toEqual([]);
  });

  it('has none either for a fixed account and Region', () => {
    expect(nagFindings({ ...exampleConfig(), account: '111122223333', region: 'eu-west-1' })).toEqual([]);
  });

  it('would have one, if a topic were open: the check looks', () => {
    expect(nagFindings(exampleConfig(), (stack) => void new Topic(stack, 'Open'))).toContain('AwsSolutions-SNS3');
  });

  it('is clean to cfn-lint', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'rejoin-lint-')), 'template.json');
    writeFileSync(file, JSON.stringify(exampleTemplate().toJSON()));
    // W3005: CDK names a function's role among its dependencies, which the reference to it implies.
    const { status, stdout, error } = spawnSync(CFN_LINT, ['--ignore-checks', 'W3005', '--regions', 'eu-west-1', '--', file], { encoding: 'utf8' });
    expect(error).toBeUndefined();
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});
