/** A data directory that is made once and kept in the system's temporary folder, to be copied and never started in place. */
import { createHash } from 'node:crypto';
import { access, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemplateRecipe {
  readonly engine: string;
  /** All that the result depends on, as text: another recipe is another template. */
  readonly recipe: () => Promise<string>;
  /** Makes `<work>/data`, as it is after a clean shutdown. */
  readonly build: (work: string) => Promise<void>;
}

/**
 * A function that answers the data directory's folder. Made at the first call; concurrent callers, in other processes too,
 * get the same one: it appears under its name only when it is whole. Throws what the recipe and the building throw.
 */
export function keptTemplate(template: TemplateRecipe): () => Promise<string> {
  let made: Promise<string> | undefined;
  return () => {
    made ??= make(template).catch((error: unknown) => {
      made = undefined; // the next caller tries again
      throw error;
    });
    return made;
  };
}

async function make({ engine, recipe, build }: TemplateRecipe): Promise<string> {
  const digest = createHash('sha256')
    .update(await recipe())
    .digest('hex')
    .slice(0, 16);
  const cached = join(tmpdir(), `rejoin-${engine}-template-${process.getuid?.() ?? 0}-${digest}`);
  const data = join(cached, 'data');
  if (await exists(data)) {
    const owner = (await stat(cached)).uid;
    if (owner === (process.getuid?.() ?? owner)) return data;
    throw new Error(`${cached} belongs to user ${owner}, not to us; remove it and try again`);
  }
  const work = await mkdtemp(join(tmpdir(), `rejoin-${engine}-making-`));
  try {
    await build(work);
    await rename(work, cached);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    // Somebody else was first: theirs is as good.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
  return data;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
