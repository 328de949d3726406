/** Errors of a dump that whoever asks for it goes by. */

/**
 * The node cannot give its log from the position that was asked for (error 1236): it has purged it, came later by a state
 * transfer, is behind, or has another history. Another node may be able to. The message is the server's own sentence.
 */
export class LogUnavailable extends Error {
  override readonly name = 'LogUnavailable';
}
