/** IAM of one rehearsal: stands at the gateway from the start, and learns roles and stacks as they come to be. */
import { join } from 'node:path';
import type { Authorizer } from '../cloud/contract.ts';
import { ADMIN_ACCESS_KEY_ID } from '../cloud/gateway.ts';
import { ENGINE_KEY_PREFIX } from '../cloud/moto.ts';
import type { Place } from './actions/need.ts';
import { createIam } from './authorizer.ts';
import type { Iam } from './authorizer.ts';
import { deployedPolicies } from './deployed.ts';
import { motoFacts } from './facts.ts';
import type { IamReport } from './report.ts';
import type { RoleCredentials } from './sessions.ts';

/** What the gate needs of the emulated account. */
export interface GuardedCloud {
  readonly moto: { readonly endpoint: string };
  readonly region: string;
  readonly account: string;
  setAuthorizer(authorizer: Authorizer | null): void;
}

export interface IamGate {
  /** From here on, every call but the administrator's is checked; before anything is known, all are refused. */
  attachTo(cloud: GuardedCloud): void;
  /** Learns a role that was made through the IAM API, such as the database hosts'. */
  knowRole(roleArn: string): Promise<void>;
  /** Learns a deployed stack from its template in the assembly folder. */
  knowStack(assemblyDir: string, stackName: string): Promise<void>;
  /** See `Iam.credentialsFor`. */
  credentialsFor(roleArn: string, sessionName: string, service?: string): RoleCredentials;
  report(): IamReport;
  /** Ends connections; the authorizer then fails. Stop the account first. */
  close(): void;
}

export function iamGate(): IamGate {
  let attached: { readonly iam: Iam; readonly endpoint: string; readonly place: Place; close(): void } | null = null;
  const inPlace = (): NonNullable<typeof attached> => {
    if (attached === null) throw new Error('the IAM gate is attached to no account yet; call attachTo(cloud) first');
    return attached;
  };
  return {
    attachTo(cloud) {
      const place: Place = { partition: 'aws', region: cloud.region, account: cloud.account };
      const facts = motoFacts({ endpoint: cloud.moto.endpoint, region: cloud.region });
      const iam = createIam({ place, facts, adminKeys: [ADMIN_ACCESS_KEY_ID], engineKeyPrefix: ENGINE_KEY_PREFIX });
      attached = { iam, place, endpoint: cloud.moto.endpoint, close: () => facts.close() };
      cloud.setAuthorizer(iam);
    },
    async knowRole(roleArn) {
      const { iam, endpoint, place } = inPlace();
      iam.know(await deployedPolicies({ endpoint, region: place.region, place, stacks: [], roleArns: [roleArn] }));
    },
    async knowStack(assemblyDir, stackName) {
      const { iam, endpoint, place } = inPlace();
      const stacks = [{ name: stackName, templateFile: join(assemblyDir, `${stackName}.template.json`) }];
      iam.know(await deployedPolicies({ endpoint, region: place.region, place, stacks }));
    },
    credentialsFor: (roleArn, sessionName, service) => inPlace().iam.credentialsFor(roleArn, sessionName, service),
    report: () => inPlace().iam.report(),
    close: () => attached?.close(),
  };
}
