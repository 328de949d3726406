/** One name for two hosts, whichever is named first. */
export const pairOf = (a: string, b: string): string => [a, b].sort().join(' ');
