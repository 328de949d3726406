import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { GetSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import * as z from 'zod/mini';
import type { Lazy } from './clients.ts';
import { aws } from './errors.ts';
import type { Clock, DbCredentials, Secrets } from './ports.ts';

const KEPT_MS = 5 * 60_000;

const secretSchema = z.object({ username: z.string().check(z.minLength(1)), password: z.string() });

/**
 * Database credentials from Secrets Manager, cached for five minutes in this process.
 * @throws Error when the secret is not JSON with `username` and `password`; the message never holds the value.
 */
export function awsSecrets(secretsManager: Lazy<SecretsManagerClient>, clock: Clock): Secrets {
  const kept = new Map<string, { readonly atMs: number; readonly credentials: DbCredentials }>();
  return {
    async credentials(secretArn, options = {}) {
      const before = kept.get(secretArn);
      if (options.fresh !== true && before !== undefined && clock.nowMs() - before.atMs < KEPT_MS) {
        return before.credentials;
      }
      const answer = await aws('secretsmanager:GetSecretValue', () =>
        secretsManager().send(new GetSecretValueCommand({ SecretId: secretArn })),
      );
      const credentials = parseCredentials(secretArn, answer.SecretString);
      kept.set(secretArn, { atMs: clock.nowMs(), credentials });
      return credentials;
    },
  };
}

function parseCredentials(secretArn: string, text: string | undefined): DbCredentials {
  const parsed = secretSchema.safeParse(jsonOrNull(text));
  if (!parsed.success) {
    const fields = parsed.error.issues.map((i) => i.path.join('.') || 'the whole').join(', ');
    throw new Error(
      `secret ${secretArn} is not usable (wrong: ${fields}): store JSON such as {"username":"…","password":"…"}`,
    );
  }
  return { user: parsed.data.username, password: parsed.data.password };
}

/** JSON.parse quotes its input in its error, and this input is a secret: an unreadable one is null. */
function jsonOrNull(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}
