/** The servers whose log is read, as the shipper meets them: the border of what a simulation has a model of. */
import type { DbCredentials, DbTarget } from '../../../cloud/ports.ts';
import { BinlogDump, type DumpOptions } from '../../../engines/galera/binlog/dump.ts';
import { LogObserver, type ObserverOptions } from '../../../engines/galera/binlog/observer.ts';

export type Observer = Pick<LogObserver, 'log' | 'prepare' | 'mark' | 'close'>;
export type Dump = Pick<BinlogDump, 'read' | 'close'>;

export interface LogServers {
  observe(target: DbTarget, credentials: DbCredentials, options?: ObserverOptions): Promise<Observer>;
  dump(target: DbTarget, credentials: DbCredentials, options: DumpOptions): Promise<Dump>;
}

/** Over the network. */
export const LOG_SERVERS: LogServers = {
  observe: (target, credentials, options) => LogObserver.open(target, credentials, options),
  dump: (target, credentials, options) => BinlogDump.start(target, credentials, options),
};
