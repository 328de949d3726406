/** One connection of the application, whatever the engine. */

export interface Server {
  readonly host: string;
  readonly port: number;
}

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface Session {
  /** One row in one transaction. Resolves when the database has acknowledged it as durably as it promises. */
  insert(id: number): Promise<void>;
  /** After a write of unknown outcome: is it there, as durably as an acknowledged one. */
  arrived(id: number): Promise<boolean>;
  /** The same as `insert`, into the table of the writers that go straight to a node. Throws `ReadOnly` on a standby. */
  insertDirect(node: string, sequence: number): Promise<void>;
  /** A look at the table. */
  read(): Promise<void>;
  /** Says goodbye. */
  end(): Promise<void>;
  /** Cuts the connection, whatever it does. */
  destroy(): void;
}

/** Opens a connection; throws the driver's error when that takes longer than `timeoutMs`. */
export type OpenSession = (server: Server, login: Login, timeoutMs: number) => Promise<Session>;

/** The node takes no writes: it is a standby. */
export class ReadOnly extends Error {
  override readonly name = 'ReadOnly';
}

/** Milliseconds since the epoch, as stored beside each row. */
export const now = (): number => Date.now();
