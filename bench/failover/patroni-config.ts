/**
 * Configuration of the peer: Patroni with etcd and HAProxy as their documentation has them. Limits and the rule
 * `loop_wait + 2 * retry_timeout <= ttl`: https://patroni.readthedocs.io/en/latest/dynamic_configuration.html
 * (ttl: "minimum possible value: 20", loop_wait: 1, retry_timeout: 3). HAProxy: `haproxy.cfg` in Patroni's repository.
 */

export interface PatroniTimings {
  readonly ttl: number;
  readonly loopWait: number;
  readonly retryTimeout: number;
  readonly haproxyInterSeconds: number;
  readonly haproxyFall: number;
  readonly haproxyRise: number;
}

/**
 * `default`: as shipped. The other two have the smallest ttl that Patroni takes. A dead leader's key lives ttl less the
 * time since its last renewal, so a longer loop_wait shortens the outage of a lost host (`quick`), and a shorter one that
 * of a lost process (`minimum`, every setting at its minimum). The better of the two, fault by fault, is what "Patroni's
 * fastest" means in the report.
 */
export const PATRONI_PROFILES = {
  default: { ttl: 30, loopWait: 10, retryTimeout: 10, haproxyInterSeconds: 3, haproxyFall: 3, haproxyRise: 2 },
  quick: { ttl: 20, loopWait: 5, retryTimeout: 5, haproxyInterSeconds: 1, haproxyFall: 2, haproxyRise: 1 },
  minimum: { ttl: 20, loopWait: 1, retryTimeout: 3, haproxyInterSeconds: 1, haproxyFall: 2, haproxyRise: 1 },
} as const satisfies Readonly<Record<string, PatroniTimings>>;
export type PatroniProfile = keyof typeof PATRONI_PROFILES;

export const isPatroniProfile = (name: string): name is PatroniProfile => Object.hasOwn(PATRONI_PROFILES, name);

export const POSTGRES_PORT = 5432;
export const REST_PORT = 8008;
export const PATRONI_SUPERUSER = { user: 'postgres', password: 'bench', database: 'postgres' } as const;
export const APPLICATION = { user: 'app', password: 'bench', database: 'app' } as const;

export interface PatroniNode {
  readonly id: string;
  readonly address: string;
  readonly hostDir: string;
}

/** JSON, which is YAML. `synchronous_mode` is on, so that the peer promises no lost write either; strict mode is off. */
export function patroniConfig(node: PatroniNode, timings: PatroniTimings, etcd: string, binDir: string): string {
  const { user, password } = PATRONI_SUPERUSER;
  const authentication = {
    superuser: { username: user, password },
    replication: { username: 'replicator', password },
    rewind: { username: 'rewind', password },
  };
  return JSON.stringify(
    {
      scope: 'bench',
      name: node.id,
      restapi: { listen: `${node.address}:${REST_PORT}`, connect_address: `${node.address}:${REST_PORT}` },
      etcd3: { hosts: [etcd] },
      bootstrap: {
        dcs: {
          ttl: timings.ttl,
          loop_wait: timings.loopWait,
          retry_timeout: timings.retryTimeout,
          maximum_lag_on_failover: 1_048_576,
          synchronous_mode: true,
          postgresql: { use_pg_rewind: true, use_slots: true, parameters: { hot_standby: 'on', wal_log_hints: 'on' } },
        },
        initdb: [{ encoding: 'UTF8' }, 'data-checksums', { locale: 'C.UTF-8' }],
        pg_hba: [
          'local all all trust',
          'host replication all 127.0.0.0/8 scram-sha-256',
          'host all all 127.0.0.0/8 scram-sha-256',
        ],
      },
      postgresql: {
        listen: `${node.address}:${POSTGRES_PORT}`,
        connect_address: `${node.address}:${POSTGRES_PORT}`,
        data_dir: `${node.hostDir}/data`,
        bin_dir: binDir,
        pgpass: `${node.hostDir}/pgpass`,
        authentication,
        parameters: { unix_socket_directories: node.hostDir },
        // A copy begins with a checkpoint; spread, as by default, it alone takes minutes.
        basebackup: [{ checkpoint: 'fast' }],
      },
    },
    null,
    2,
  );
}

/** HAProxy's part that Patroni's documentation shows, for the primary. */
export function haproxyConfig(address: string, nodes: readonly PatroniNode[], timings: PatroniTimings): string {
  const { haproxyInterSeconds: inter, haproxyFall: fall, haproxyRise: rise } = timings;
  const servers = nodes.map(
    (n) => `  server ${n.id} ${n.address}:${POSTGRES_PORT} maxconn 100 check port ${REST_PORT}`,
  );
  return `global
  maxconn 100
  noreuseport

defaults
  mode tcp
  retries 2
  timeout client 30m
  timeout connect 4s
  timeout server 30m
  timeout check 5s

listen primary
  bind ${address}:${POSTGRES_PORT}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter ${inter}s fall ${fall} rise ${rise} on-marked-down shutdown-sessions
${servers.join('\n')}
`;
}
