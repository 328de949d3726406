/** Who calls: access keys, and the roles that they were given out for. */
import { randomBytes } from 'node:crypto';
import type { Place } from './actions/need.ts';
import type { Caller } from './evaluate.ts';
import type { Policies, Role } from './policies.ts';

export interface RoleCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export interface Session extends Caller {
  readonly role: Role;
}

function base32(length: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return Array.from(randomBytes(length), (byte) => letters[byte % 32]).join('');
}

export class Sessions {
  private readonly place: Place;
  private readonly policies: () => Policies;
  private readonly engineKeyPrefix: string | undefined;
  private readonly issued = new Map<string, { readonly roleArn: string; readonly name: string }>();

  constructor(place: Place, policies: () => Policies, engineKeyPrefix: string | undefined) {
    this.place = place;
    this.policies = policies;
    this.engineKeyPrefix = engineKeyPrefix;
  }

  /** Throws when the role is not known or its trust policy does not name the service. */
  issue(roleArn: string, name: string, service?: string): RoleCredentials {
    const role = this.role(roleArn);
    if (role === undefined) {
      const known = this.policies().roles.map((r) => r.arn);
      throw new Error(
        `no policies are known for the role ${roleArn}; known are ${known.join(', ') || 'none'}. Read its stack or its IAM record first`,
      );
    }
    if (service !== undefined && !role.trusted.includes(service)) {
      throw new Error(
        `${service} cannot assume ${roleArn}: its trust policy names ${role.trusted.join(', ') || 'no service'}; ` +
          `add ${service} to its AssumeRolePolicyDocument`,
      );
    }
    const accessKeyId = `ASIA${base32(16)}`;
    this.issued.set(accessKeyId, { roleArn, name });
    return {
      accessKeyId,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(48).toString('base64'),
    };
  }

  /** Undefined for a key that was not given out here. */
  of(accessKeyId: string): Session | undefined {
    const issued = this.issued.get(accessKeyId);
    if (issued !== undefined) {
      const role = this.role(issued.roleArn);
      return role === undefined ? undefined : this.session(role, issued.name);
    }
    const prefix = this.engineKeyPrefix;
    return prefix !== undefined && accessKeyId.startsWith(prefix)
      ? this.engine(accessKeyId.slice(prefix.length))
      : undefined;
  }

  private role(arn: string): Role | undefined {
    return this.policies().roles.find((role) => role.arn === arn);
  }

  /** moto's engine signs with the state machine's name. A machine whose role Step Functions may not assume can call nothing. */
  private engine(name: string): Session | undefined {
    const machine = [...this.policies().machines].find(([arn]) => arn.endsWith(`:${name}`));
    const role = machine === undefined ? undefined : this.role(machine[1]);
    return role?.trusted.includes('states.amazonaws.com') === true ? this.session(role, name) : undefined;
  }

  private session(role: Role, name: string): Session {
    const { partition, account } = this.place;
    // STS takes 2 to 64 of these characters.
    const session = name.replace(/[^\w+=,.@-]/g, '-').slice(0, 64);
    const sessionArn = `arn:${partition}:sts::${account}:assumed-role/${role.name}/${session}`;
    return { role, roleArn: role.arn, account, sessionArn };
  }
}
