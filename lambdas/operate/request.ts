/** What a person may ask for, as JSON from the console or the CLI. */
import * as z from 'zod/mini';

const cluster = z.string().check(z.minLength(1, 'name the cluster, such as "orders"'));
const by = z.string().check(z.minLength(1, 'name who asks, such as "ada"'));
const node = z.string().check(z.regex(/^i-[0-9a-f]{8,17}$/, 'give an instance id, such as "i-0123456789abcdef0"'));

const requestSchema = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('maintenance-on'), cluster, node, by }),
  z.strictObject({ action: z.literal('maintenance-off'), cluster, node, by }),
  z.strictObject({ action: z.literal('acknowledge'), cluster, by }),
  z.strictObject({ action: z.literal('accept-loss'), cluster, node, by }),
  z.strictObject({ action: z.literal('release-brake'), by }),
  z.strictObject({ action: z.literal('status'), cluster }),
]);

export type OperateRequest = z.infer<typeof requestSchema>;

const ACCEPTED = [
  '{"action":"maintenance-on","cluster":"orders","node":"i-…","by":"name"}',
  '{"action":"maintenance-off","cluster":"orders","node":"i-…","by":"name"}',
  '{"action":"acknowledge","cluster":"orders","by":"name"}',
  '{"action":"accept-loss","cluster":"orders","node":"i-…","by":"name"}',
  '{"action":"release-brake","by":"name"}',
  '{"action":"status","cluster":"orders"}',
];

/** The request, or a sentence that says what is wrong with it and what would be accepted. */
export function parseRequest(value: unknown): OperateRequest | string {
  const parsed = requestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map((i) => `${i.path.map(String).join('.') || 'the request'}: ${i.message}`);
  return `received ${JSON.stringify(value) ?? 'nothing'}; ${wrong.join('; ')}; accepted are ${ACCEPTED.join(' ')}`;
}
