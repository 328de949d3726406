/** A process that runs the shipper's real loop until it is killed, against a real S3 endpoint. Argument: JSON, `ChildFacts`. */
import { galeraShipEngine } from '../../../lambdas/archive/ship/galera/engine.ts';
import { ship } from '../../../lambdas/archive/ship/run.ts';
import type { ChildFacts } from '../killed-shipper.ts';
import { faultyBucket, spokenLog } from '../killed-shipper.ts';
import { clusterPorts } from './shipping.ts';

const facts = JSON.parse(process.argv[2] ?? '') as ChildFacts;
const { servers, rpoSeconds, pieceBytes } = facts;
const options = { nodes: servers, rpoSeconds, ...(pieceBytes !== undefined && { pieceBytes }) };
const ports = { ...clusterPorts(options), bucket: faultyBucket(facts), log: spokenLog };
const request = { cluster: ports.spec.name, holder: 'h1', deadlineMs: Date.now() + 600_000 };
await ship(request, ports, galeraShipEngine(ports, options));
