import type { SSMClient } from '@aws-sdk/client-ssm';
import { GetParameterCommand, GetParametersByPathCommand } from '@aws-sdk/client-ssm';
import { SPEC_PREFIX } from '../model/spec.ts';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import { everyPage } from './pages.ts';
import { systemClock } from './clock.ts';
import { keptFor } from './kept.ts';
import type { Clock, ListedSpec, Specs } from './ports.ts';
import { parameterName, specFromParameter } from './spec-parameter.ts';

/** Cluster specifications in SSM parameters. Errors as in `errors.ts`. */
export function awsSpecs(ssm: Lazy<SSMClient>, clock: Clock = systemClock): Specs {
  const readAll = async (): Promise<readonly ListedSpec[]> => {
    const parameters = await everyPage(async (token) => {
      // Without the trailing slash, as in the resource that IAM checks. Ten is the most that SSM gives at a time.
      const input = { Path: SPEC_PREFIX.slice(0, -1), Recursive: false, MaxResults: 10, NextToken: token };
      const page = await aws('ssm:GetParametersByPath', () => ssm().send(new GetParametersByPathCommand(input)));
      return { items: page.Parameters ?? [], next: page.NextToken };
    });
    return parameters.map((p) => {
      const cluster = (p.Name ?? '').slice(SPEC_PREFIX.length);
      return { cluster, result: specFromParameter(cluster, p.Value ?? '') };
    });
  };
  return {
    async get(cluster) {
      try {
        const answer = await aws('ssm:GetParameter', () =>
          ssm().send(new GetParameterCommand({ Name: parameterName(cluster) })),
        );
        return specFromParameter(cluster, answer.Parameter?.Value ?? '');
      } catch (error) {
        if (isCode(error, 'ParameterNotFound')) return null;
        throw error;
      }
    },

    list: keptFor(readAll, clock),
  };
}
