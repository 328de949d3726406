/** A certificate authority of one's own, and a certificate of the local S3 server, which pgBackRest and curl then accept. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Certificates {
  /** The authority's own, in PEM: what a client trusts. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** pgBackRest looks for an address among the DNS names; everybody else for an IP address. */
const NAMES = 'subjectAltName=DNS:localhost,DNS:127.0.0.1,IP:127.0.0.1';

export async function makeCertificates(dir: string): Promise<Certificates> {
  const file = (name: string): string => join(dir, name);
  const openssl = (...args: string[]): Promise<unknown> => run('openssl', args);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl(
    ...['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=rejoin benchmark'],
    ...['-keyout', file('ca.key'), '-out', file('ca.pem')],
  );
  await openssl(...['req', ...newKey, '-subj', '/CN=127.0.0.1', '-keyout', file('s3.key'), '-out', file('s3.request')]);
  await writeFile(file('s3.names'), `${NAMES}\n`);
  await openssl(
    ...['x509', '-req', '-in', file('s3.request'), '-CA', file('ca.pem'), '-CAkey', file('ca.key')],
    ...['-CAcreateserial', '-days', '2', '-extfile', file('s3.names'), '-out', file('s3.pem')],
  );
  return { ca: file('ca.pem'), certificate: file('s3.pem'), key: file('s3.key') };
}
