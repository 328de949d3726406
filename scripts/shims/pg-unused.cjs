/**
 * Stands in for parts of pg in the bundles that no connection of ours comes to: its pool, the passfile (a connection of ours has
 * its password), libpq by a native module, and Cloudflare's sockets. Whoever comes here all the same is told so.
 */
module.exports = class Unused {
  constructor() {
    throw new Error('this part of pg is not in the bundles of Rejoin (scripts/shims/pg-unused.cjs)');
  }
};
