import { keptFor } from '../../lambdas/cloud/kept.ts';
import type {
  CommandState,
  DbCredentials,
  HostCommands,
  ListedSpec,
  Notifications,
  Prober,
  Secrets,
  Specs,
} from '../../lambdas/cloud/ports.ts';
import type { SpecResult } from '../../lambdas/model/spec.ts';
import { specFromParameter } from '../../lambdas/cloud/spec-parameter.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import type { FakeAws } from './aws.ts';
import { FakeAwsError } from './aws.ts';

export class FakeHostCommands implements HostCommands {
  readonly #aws: FakeAws;
  readonly #commands = new Map<string, { readonly instanceId: string; states: readonly CommandState[] }>();
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  online(instanceIds: readonly string[]): Promise<readonly string[]> {
    return this.#aws.call('HostCommands.online', [instanceIds], () =>
      instanceIds.filter((id) => this.#aws.instances.get(id)?.state === 'running' && !this.#aws.offline.has(id)),
    );
  }

  start(instanceId: string, document: string, parameters: Readonly<Record<string, string>>): Promise<string> {
    return this.#aws.call('HostCommands.start', [instanceId, document, parameters], () => {
      const script = this.#aws.scripts.get(document);
      if (script === undefined) {
        throw new FakeAwsError('InvalidDocument', `no document ${document}: set aws.scripts.set('${document}', …)`);
      }
      const outcome = script(instanceId, parameters);
      const id = `command-${this.#aws.nextNumber()}`;
      this.#commands.set(id, { instanceId, states: 'kind' in outcome ? [outcome] : outcome });
      return id;
    });
  }

  state(instanceId: string, commandId: string): Promise<CommandState> {
    return this.#aws.call('HostCommands.state', [instanceId, commandId], () => {
      const command = this.#commands.get(commandId);
      const [first, ...rest] = command?.instanceId === instanceId ? command.states : [];
      if (command === undefined || first === undefined) return { kind: 'running' };
      if (rest.length > 0) command.states = rest;
      return first;
    });
  }
}

const held = (cluster: string, value: unknown): SpecResult =>
  specFromParameter(cluster, typeof value === 'string' ? value : JSON.stringify(value));

export class FakeSpecs implements Specs {
  readonly #aws: FakeAws;
  readonly #list: Specs['list'];
  constructor(aws: FakeAws) {
    this.#aws = aws;
    const all = (): readonly ListedSpec[] =>
      [...aws.specs].map(([cluster, value]) => ({ cluster, result: held(cluster, value) }));
    this.#list = keptFor(() => aws.call('Specs.list', [], all), aws.clock);
  }

  get(cluster: string): Promise<SpecResult | null> {
    return this.#aws.call('Specs.get', [cluster], () =>
      this.#aws.specs.has(cluster) ? held(cluster, this.#aws.specs.get(cluster)) : null,
    );
  }

  list(options?: { readonly maxAgeMs?: number }): Promise<readonly ListedSpec[]> {
    return this.#list(options);
  }
}

export class FakeSecrets implements Secrets {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  credentials(secretArn: string, options: { readonly fresh?: boolean } = {}): Promise<DbCredentials> {
    return this.#aws.call('Secrets.credentials', [secretArn, options], () => {
      const found = this.#aws.secrets.get(secretArn);
      if (found === undefined) throw new FakeAwsError('ResourceNotFoundException', `no secret ${secretArn}`);
      return found;
    });
  }
}

export class FakeProber implements Prober {
  readonly #aws: FakeAws;
  closed = false;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  probe(target: Parameters<Prober['probe']>[0], credentials: DbCredentials): Promise<Probe> {
    return this.#aws.call('Prober.probe', [target, credentials], () => {
      const atMs = this.#aws.clock.nowMs();
      const found = this.#aws.probes.get(target.instanceId);
      if (found === undefined) return { kind: 'unreachable', atMs, tookMs: 2000, detail: 'no answer within 2 s' };
      return typeof found === 'function' ? found(atMs) : found;
    });
  }

  close(): Promise<void> {
    return this.#aws.call('Prober.close', [], () => {
      this.closed = true;
    });
  }
}

export class FakeNotifications implements Notifications {
  readonly #aws: FakeAws;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  publish(subject: string, body: string): Promise<void> {
    return this.#aws.call('Notifications.publish', [subject, body], () => {
      this.#aws.published.push({ subject, body });
    });
  }
}
