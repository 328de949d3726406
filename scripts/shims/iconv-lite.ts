/**
 * Stands in for iconv-lite in the bundles: 490 KB of charset tables, of which mysql2 needs none for the character sets
 * that Node itself knows. mysql2 asks us only for what `Buffer.isEncoding` refuses, so an encoding that arrives here is
 * one that the plane does not speak: it is refused by name rather than decoded wrongly.
 */

const NODE_NAMES: Readonly<Record<string, BufferEncoding>> = {
  utf8: 'utf8',
  utf8mb3: 'utf8',
  utf8mb4: 'utf8',
  cesu8: 'utf8',
  ascii: 'ascii',
  latin1: 'latin1',
  iso88591: 'latin1',
  binary: 'latin1',
  ucs2: 'utf16le',
  utf16le: 'utf16le',
};

const normalised = (encoding: string): string => encoding.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Node's name of an encoding. Throws for one that Node does not know. */
function nodeEncoding(encoding: string): BufferEncoding {
  const known = NODE_NAMES[normalised(encoding)];
  if (known === undefined) {
    throw new Error(
      `character set ${JSON.stringify(encoding)} is not in Rejoin's bundles, which speak utf8, latin1 and ascii; ` +
        'connect with charset utf8mb4 (see scripts/shims/iconv-lite.ts)',
    );
  }
  return known;
}

export const encodingExists = (encoding: string): boolean => normalised(encoding) in NODE_NAMES;

export const decode = (bytes: Buffer, encoding: string): string => bytes.toString(nodeEncoding(encoding));

export const encode = (text: string, encoding: string): Buffer => Buffer.from(text, nodeEncoding(encoding));

export function getDecoder(encoding: string): { write(bytes: Buffer): string; end(): string } {
  const name = nodeEncoding(encoding);
  return { write: (bytes) => bytes.toString(name), end: () => '' };
}

export function getEncoder(encoding: string): { write(text: string): Buffer; end(): Buffer } {
  const name = nodeEncoding(encoding);
  return { write: (text) => Buffer.from(text, name), end: () => Buffer.alloc(0) };
}
