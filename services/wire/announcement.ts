import { type Address, type WorkerId, workerId } from '@rondo/core';
import { addressField, malformed, nonEmpty } from './fields.ts';

/** What a worker says of itself to whoever may need it. */
export interface WorkerAnnouncement {
  readonly workerId: WorkerId;
  /** Where its gRPC server is reached. */
  readonly address: Address;
  readonly protocolRevision: number;
  readonly bundleDigest: string;
  readonly bundleName: string;
  /** Execution provider that ran its warm-up pass. */
  readonly provider: string;
  /** How full it is; for people who read along, since a link's pulses are newer. */
  readonly load: Readonly<Record<string, number>>;
  readonly state: 'serving' | 'draining';
}

const NAME = 'announcement';

export const encodeAnnouncement = (announcement: WorkerAnnouncement): string => JSON.stringify(announcement);

/** @throws RondoError PROTOCOL_MISMATCH naming what is malformed. */
export function decodeAnnouncement(json: string): WorkerAnnouncement {
  const fields = fieldsOf(json);
  const text = (field: string): string => {
    const value = fields[field];
    if (typeof value !== 'string') throw malformed(NAME, `${field} is no text`);
    return nonEmpty(value, NAME, field);
  };
  const { protocolRevision, load, state } = fields;
  if (typeof protocolRevision !== 'number') throw malformed(NAME, 'protocolRevision is no number');
  if (state !== 'serving' && state !== 'draining') throw malformed(NAME, `state is ${state}`);
  return {
    workerId: workerId(text('workerId')),
    address: addressField(text('address'), NAME, 'address'),
    protocolRevision,
    bundleDigest: text('bundleDigest'),
    bundleName: text('bundleName'),
    provider: text('provider'),
    load: loadOf(load),
    state,
  };
}

function fieldsOf(json: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(json);
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw malformed(NAME, 'it is no JSON object');
}

function loadOf(load: unknown): Record<string, number> {
  const entries = Object.entries(typeof load === 'object' && load !== null ? load : {});
  return Object.fromEntries(entries.filter(([, value]) => typeof value === 'number'));
}
