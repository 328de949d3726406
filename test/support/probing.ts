/** Probers for tests: closed after each, every probe held to its deadline; and servers that are no healthy database. */
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect } from 'vitest';
import type { DbTarget, Prober } from '../../lambdas/cloud/ports.ts';
import type { ProberOptions } from '../../lambdas/engines/probing.ts';
import type { DatabaseTls } from '../../lambdas/model/spec.ts';
import type { Probe } from '../../lambdas/model/view.ts';

const GRACE_MS = 100;

export interface Probing {
  /** A prober that is closed after the test. */
  readonly prober: (options?: ProberOptions) => Prober;
  /** Fails the test when the probe took longer than its deadline. */
  readonly timed: (running: Promise<Probe>) => Promise<Probe>;
  readonly target: (host: string, port?: number, tls?: DatabaseTls) => DbTarget;
}

export interface Probed {
  readonly make: (options: ProberOptions) => Prober;
  readonly deadlineMs: number;
  readonly port: number;
}

/** To be called once, where tests are declared. */
export function probingOf({ make, deadlineMs, port: usualPort }: Probed): Probing {
  const probers: Prober[] = [];
  afterEach(async () => {
    await Promise.all(probers.splice(0).map((p) => p.close()));
  });
  return {
    prober: (options = {}) => {
      const made = make(options);
      probers.push(made);
      return made;
    },
    timed: async (running) => {
      const from = performance.now();
      const probe = await running;
      expect(performance.now() - from).toBeLessThan(deadlineMs + GRACE_MS);
      return probe;
    },
    target: (host, port = usualPort, tls) => ({ instanceId: 'i-1', host, port, tls }),
  };
}

export interface Servers {
  /** Listens on `host`; answers the port. All is closed after the test. */
  readonly serve: (onConnection: (socket: Socket) => void) => Promise<number>;
  /** Ends the connections that are open. */
  readonly hangUp: () => void;
}

/** To be called once, where tests are declared. */
export function servers(host: string): Servers {
  const listening: Server[] = [];
  const sockets = new Set<Socket>();
  const hangUp = (): void => {
    sockets.forEach((socket) => socket.destroy());
    sockets.clear();
  };
  afterEach(async () => {
    hangUp();
    await Promise.all(listening.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  });
  return {
    hangUp,
    serve: async (onConnection) => {
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined); // a reset by the prober is what is tested
        onConnection(socket);
      });
      listening.push(server);
      await new Promise<void>((resolve) => server.listen(0, host, resolve));
      return (server.address() as { port: number }).port;
    },
  };
}
