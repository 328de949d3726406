/** How a connection to a database ends that does not do what it should. */

/** The socket ended before the server had said what it should; `cause` is the socket's own error, if any. */
export class ConnectionEnded extends Error {
  override readonly name = 'ConnectionEnded';
}

/** Somebody is there whom we cannot ask. The message goes on after the server's address: "refuses the probe: …". */
export class Refused extends Error {
  override readonly name = 'Refused';
}
