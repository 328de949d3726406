/** What `npm run bench -- failover` was asked for; wrong input is refused before anything is started. */
import { FAULTS, type Fault } from './kinds.ts';
import { isPatroniProfile, PATRONI_PROFILES, type PatroniProfile } from './patroni-config.ts';

export interface FailoverOptions {
  readonly rounds: number;
  readonly rejoin: boolean;
  readonly patroni: readonly PatroniProfile[];
  readonly faults: readonly Fault[];
  readonly holdSeconds: number;
  /** After how long a member of Patroni's cluster that is not a replica again is copied anew. */
  readonly reseedAfterSeconds: number;
  readonly reportFile: string | null;
  readonly ec2: Ec2Delays;
  /** Does EC2 say that a killed host is shutting down; otherwise it goes on to say running. */
  readonly ec2Tells: boolean;
}

/** What the emulated EC2 takes, in milliseconds: the same options as the rehearsal's. */
export interface Ec2Delays {
  readonly eventMs: number;
  readonly bootMs: number;
  readonly shutdownMs: number;
  readonly powerOffMs: number;
  readonly forceStopMs: number;
}

/** As commander gives them. */
export interface RawOptions {
  readonly rounds: string;
  readonly only?: string;
  readonly fault?: string;
  readonly patroni: string;
  readonly hold: string;
  readonly reseedAfter: string;
  readonly report?: string;
  readonly ec2Silent: boolean;
  readonly eventDelay: string;
  readonly boot: string;
  readonly shutdown: string;
  readonly powerOff: string;
  readonly forceStop: string;
}

function wholeNumber(option: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high)
    throw new Error(`${option} is ${JSON.stringify(text)}; give a whole number from ${low} to ${high}`);
  return value;
}

function faultOf(text: string): Fault {
  const fault = FAULTS.find((name) => name === text);
  if (fault === undefined) throw new Error(`--fault is ${JSON.stringify(text)}; give one of ${FAULTS.join(', ')}`);
  return fault;
}

function profilesOf(text: string): PatroniProfile[] {
  return text.split(',').map((name) => {
    if (isPatroniProfile(name)) return name;
    const known = Object.keys(PATRONI_PROFILES).join(', ');
    throw new Error(`--patroni names ${JSON.stringify(name)}; give some of ${known}, with commas`);
  });
}

const HOUR_MS = 3_600_000;

/** @throws Error that names the option, what it was given and what it takes. */
export function failoverOptions(raw: RawOptions): FailoverOptions {
  if (raw.only !== undefined && raw.only !== 'patroni' && raw.only !== 'rejoin')
    throw new Error(`--only is ${JSON.stringify(raw.only)}; give patroni or rejoin, or leave it out for both`);
  const ms = (option: string, text: string): number => wholeNumber(option, text, 0, HOUR_MS);
  const patroni = profilesOf(raw.patroni);
  return {
    rounds: wholeNumber('--rounds', raw.rounds, 1, 1000),
    rejoin: raw.only !== 'patroni',
    patroni: raw.only === 'rejoin' ? [] : patroni,
    faults: raw.fault === undefined ? FAULTS : [faultOf(raw.fault)],
    holdSeconds: wholeNumber('--hold', raw.hold, 0, 3600),
    reseedAfterSeconds: wholeNumber('--reseed-after', raw.reseedAfter, 1, 3600),
    reportFile: raw.report ?? null,
    ec2Tells: !raw.ec2Silent,
    ec2: {
      eventMs: ms('--event-delay', raw.eventDelay),
      bootMs: ms('--boot', raw.boot),
      shutdownMs: ms('--shutdown', raw.shutdown),
      powerOffMs: ms('--power-off', raw.powerOff),
      forceStopMs: ms('--force-stop', raw.forceStop),
    },
  };
}
