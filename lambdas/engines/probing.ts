/**
 * The course of a probe, whatever the engine: one round trip over a kept connection, and how it failed when it failed. A kept
 * connection that stays mute for half the deadline is doubted: a fresh one tells whether the process hangs (TCP connects,
 * no greeting), is gone (refused), or the host is (nothing answers).
 */
import { connect as connectSocket, type Socket } from 'node:net';
import type { DbCredentials, DbTarget, Prober } from '../cloud/ports.ts';
import type { NodeStatus, Probe } from '../model/view.ts';
import { ConnectionEnded, Refused } from './errors.ts';

export interface ProberOptions {
  /** A probe answers within this, in milliseconds. */
  readonly deadlineMs?: number;
  /** How long a kept connection may be mute before a fresh one is tried beside it; half the deadline unless said. */
  readonly patienceMs?: number;
  readonly nowMs?: () => number;
  /** How sockets are made. */
  readonly connect?: (host: string, port: number) => Socket;
}

/** One connection to one server, over a socket that may be connecting still. Its methods throw Refused or ConnectionEnded. */
export interface ProbeConnection<Answer> {
  /** False once it has ended, by the server or by an error such as bytes that nobody asked for. */
  readonly usable: boolean;
  /** Called once, in the same turn of the event loop in which the socket was made. */
  login(target: DbTarget, credentials: DbCredentials): Promise<void>;
  ask(): Promise<Answer>;
  /** An idle connection must not keep the process alive. */
  idle(): void;
  busy(): void;
  destroy(): void;
}

export type ParsedStatus<Status extends NodeStatus = NodeStatus> =
  | { readonly ok: true; readonly status: Status }
  /** It answers, but not as such a node does: `reason` names what was missing. */
  | { readonly ok: false; readonly reason: string };

/** What differs by engine. */
export interface Dialect<Answer> {
  connection(socket: Socket): ProbeConnection<Answer>;
  /** Never throws. */
  parse(answer: Answer): ParsedStatus;
}

/** What a probe found, before it is timed. */
type Finding<Answer> = { readonly kind: 'answer'; readonly answer: Answer } | Failure;

interface Failure {
  readonly kind: 'refused' | 'silent' | 'unreachable' | 'rejected';
  readonly detail: string;
}

interface Outcome<Answer> {
  readonly finding: Finding<Answer>;
  /** The connection that is fit to be kept, if any. */
  readonly connection: ProbeConnection<Answer> | null;
}

interface Settings<Answer> {
  readonly dialect: Dialect<Answer>;
  readonly deadlineMs: number;
  readonly patienceMs: number;
  readonly connect: (host: string, port: number) => Socket;
}

const errorCode = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;

/** How a fresh attempt that ended with `error` is to be understood; null: worth one more attempt. */
function classify(error: unknown, connected: boolean, where: string): Failure | null {
  if (error instanceof Refused) return { kind: 'rejected', detail: `${where} ${error.message}` };
  if (error instanceof ConnectionEnded) {
    const code = errorCode(error.cause);
    if (code === 'ECONNREFUSED') return { kind: 'refused', detail: `${where} refuses connections: no process listens` };
    // Accepted by the kernel, then reset: the process ended in this moment. The next attempt sees what is left.
    if (connected || code === 'ECONNRESET') return null;
    return { kind: 'unreachable', detail: `${where} cannot be reached: ${code ?? error.message}` };
  }
  return { kind: 'rejected', detail: `${where} cannot be asked: ${String(error)}` };
}

/** The course of one probe: the first certain finding counts, and the deadline turns uncertainty into one. */
class OneProbe<Answer> {
  readonly #where: string;
  readonly #open: ProbeConnection<Answer>[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #connected = false;
  #attempts = 0;
  #resolve: (outcome: Outcome<Answer>) => void = () => undefined;
  #over = false;
  readonly #target: DbTarget;
  readonly #credentials: DbCredentials;
  readonly #settings: Settings<Answer>;

  constructor(target: DbTarget, credentials: DbCredentials, settings: Settings<Answer>) {
    this.#target = target;
    this.#credentials = credentials;
    this.#settings = settings;
    this.#where = `${target.host}:${target.port}`;
  }

  run(kept: ProbeConnection<Answer> | null): Promise<Outcome<Answer>> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#timers.push(setTimeout(() => this.#timeUp(), this.#settings.deadlineMs));
      if (kept === null) {
        this.#fresh();
        return;
      }
      this.#open.push(kept);
      kept.busy();
      this.#timers.push(setTimeout(() => this.#fresh(), this.#settings.patienceMs));
      void this.#ask(kept, () => Promise.resolve()).catch(() => {
        // It had been closed while it lay idle (or the server is gone): only a fresh attempt can tell.
        kept.destroy();
        this.#fresh();
      });
    });
  }

  /** Gives up at once; the socket's end is no news about the node. */
  abandon(): void {
    this.#finish({ kind: 'silent', detail: `the probe of ${this.#where} was given up` }, null);
  }

  async #ask(connection: ProbeConnection<Answer>, first: () => Promise<void>): Promise<void> {
    await first();
    const answer = await connection.ask();
    this.#finish({ kind: 'answer', answer }, connection);
  }

  #fresh(): void {
    if (this.#over || this.#attempts > 0) return;
    this.#attempt();
  }

  #attempt(): void {
    this.#attempts++;
    this.#connected = false;
    const { host, port } = this.#target;
    let socket: Socket;
    try {
      socket = this.#settings.connect(host, port);
    } catch (error) {
      // Node refuses a port or host that cannot be before it tries.
      this.#finish(
        { kind: 'unreachable', detail: `${this.#where} is no address to connect to: ${String(error)}` },
        null,
      );
      return;
    }
    socket.once('connect', () => (this.#connected = true));
    const connection = this.#settings.dialect.connection(socket);
    this.#open.push(connection);
    this.#ask(connection, () => connection.login(this.#target, this.#credentials)).catch((error: unknown) => {
      if (this.#over) return;
      connection.destroy();
      const finding = classify(error, this.#connected, this.#where);
      if (finding !== null) this.#finish(finding, null);
      else if (this.#attempts < 3) this.#attempt();
      else
        this.#finish(
          { kind: 'silent', detail: `${this.#where} accepts connections and closes them without a word` },
          null,
        );
    });
  }

  #timeUp(): void {
    const within = `within ${this.#settings.deadlineMs} ms`;
    this.#finish(
      this.#connected
        ? { kind: 'silent', detail: `${this.#where} accepted the connection and said nothing more ${within}` }
        : { kind: 'unreachable', detail: `${this.#where} did not answer the connection attempt ${within}` },
      null,
    );
  }

  #finish(finding: Finding<Answer>, keep: ProbeConnection<Answer> | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#timers.forEach(clearTimeout);
    for (const connection of this.#open) if (connection !== keep) connection.destroy();
    this.#resolve({ finding, connection: keep });
  }
}

export const plainConnect = (host: string, port: number): Socket => connectSocket({ host, port, noDelay: true });

/** The same for a target that is waited for less long. */
const within = <Answer>(settings: Settings<Answer>, deadlineMs = settings.deadlineMs): Settings<Answer> =>
  deadlineMs >= settings.deadlineMs
    ? settings
    : { ...settings, deadlineMs, patienceMs: Math.min(settings.patienceMs, deadlineMs / 2) };

/**
 * A prober for one engine's nodes. `probe` never throws and answers within the deadline. Probes of different nodes run side
 * by side; two of the same node at once use a connection each, of which one is kept.
 */
export function keptProber<Answer>(
  dialect: Dialect<Answer>,
  options: ProberOptions & { readonly deadlineMs: number },
): Prober {
  const { deadlineMs, patienceMs = deadlineMs / 2, nowMs = Date.now, connect = plainConnect } = options;
  const settings: Settings<Answer> = { dialect, deadlineMs, patienceMs, connect };
  const idle = new Map<string, ProbeConnection<Answer>>();
  const running = new Set<OneProbe<Answer>>();
  let closed = false;

  const keep = (key: string, connection: ProbeConnection<Answer>): void => {
    if (closed || idle.has(key) || !connection.usable) {
      connection.destroy();
      return;
    }
    connection.idle();
    idle.set(key, connection);
  };

  const take = (key: string): ProbeConnection<Answer> | null => {
    const connection = idle.get(key);
    idle.delete(key);
    if (connection === undefined || connection.usable) return connection ?? null;
    connection.destroy();
    return null;
  };

  return {
    async probe(target, credentials): Promise<Probe> {
      const startedAtMs = nowMs();
      const { host, port, tls } = target;
      const key = JSON.stringify([host, port, tls, credentials.user, credentials.password]);
      const one = new OneProbe(target, credentials, within(settings, target.deadlineMs));
      running.add(one);
      const { finding, connection } = await one.run(take(key));
      running.delete(one);
      if (connection !== null) keep(key, connection);
      const atMs = nowMs();
      const times = { atMs, tookMs: atMs - startedAtMs };
      if (finding.kind !== 'answer') return { ...finding, ...times };
      const parsed = dialect.parse(finding.answer);
      if (parsed.ok) return { kind: 'answered', ...times, status: parsed.status };
      return { kind: 'rejected', ...times, detail: `${host}:${port} answers, but ${parsed.reason}` };
    },

    async close(): Promise<void> {
      closed = true;
      for (const one of running) one.abandon();
      for (const connection of idle.values()) connection.destroy();
      idle.clear();
    },
  };
}
