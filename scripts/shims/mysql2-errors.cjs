/**
 * Stands in for mysql2's table of error names in the bundles: 148 KB. The plane goes by a server's error number and message, so
 * that the name of such an error (`code`) stays undefined.
 */
module.exports = {};
