/**
 * The CDK app: Rejoin's control plane in an existing VPC.
 *
 *   npx cdk deploy -c config=rejoin.json      (docs/deploy.md, docs/example.rejoin.json)
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { App } from 'aws-cdk-lib';
import { parseConfig } from '../lib/config.ts';
import { RejoinStack } from '../lib/rejoin-stack.ts';

const app = new App();
const given: unknown = app.node.tryGetContext('config');
if (typeof given !== 'string' || given === '') {
  throw new Error(
    'no configuration: the context value "config" must name a JSON file. ' +
      'Copy docs/example.rejoin.json to rejoin.json, fill it in, then: npx cdk deploy -c config=rejoin.json',
  );
}
const file = resolve(given);
if (!existsSync(file))
  throw new Error(`config is ${JSON.stringify(given)}: there is no file ${file}; compare docs/example.rejoin.json`);
const config = parseConfig(given, readFileSync(file, 'utf8'));
new RejoinStack(app, config.stackName ?? 'Rejoin', { config });
