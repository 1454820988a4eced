import { createHash } from 'node:crypto';
import { LIMITS } from '@rondo/core';

/** One of the models that serve a public name, with its share of the requests: `weight` of the sum of all weights. */
export interface Variant {
  readonly model: string;
  /** Not negative; 0 takes no requests. */
  readonly weight: number;
}

/** A public name whose requests are split over several models. */
export interface Split {
  readonly name: string;
  /** At least one with a weight above 0. */
  readonly variants: readonly Variant[];
}

/** What tells requests apart that may belong together. */
export interface RequestMarks {
  /** The field `user` of its body, or what OpenAI replaced that by. */
  readonly user?: string | undefined;
  /** The header x-rondo-session. */
  readonly session?: string | undefined;
  /** Its id: every request has one. */
  readonly request: string;
}

/**
 * What decides which variant a request gets. In order of priority:
 * 1. requests of one user get one variant, whatever their session;
 * 2. requests of one session do;
 * 3. any other is on its own, and gets the same one when it is sent again under its id.
 * A mark that is empty marks nothing: all who leave it so would be one.
 */
export function stickyKey({ user, session, request }: RequestMarks): string {
  if (user) return `user ${user}`;
  if (session) return `session ${session}`;
  return `request ${request}`;
}

/**
 * The variant for `key`: of all, the one whose own draw comes first when each waits 1 / weight on average. So each is first with probability
 * weight / sum, the same on every coordinator, and a weight that rises moves keys to that variant and between no others.
 * (Highest random weight, Thaler and Ravishankar 1998, with weights by Schindelhauer and Schomaker 2005, logarithmic method)
 */
export function variantOf({ name, variants }: Split, key: string): string {
  let first = { model: '', wait: Number.POSITIVE_INFINITY };
  for (const { model, weight } of variants) {
    const wait = weight === 0 ? Number.POSITIVE_INFINITY : -Math.log(draw(name, model, key)) / weight;
    if (wait < first.wait) first = { model, wait };
  }
  return first.model;
}

/** A share of the requests for one name that a model runs too, without answering them. */
export interface ShadowRule {
  /** The name asked for. */
  readonly of: string;
  readonly model: string;
  /** Above 0, at most 1. */
  readonly share: number;
}

/** Whether the request with that id is one of the share: the same on every coordinator, and independent of its variant. */
export const isShadowed = ({ of, model, share }: ShadowRule, request: string): boolean =>
  draw('shadow', of, model, request) < share;

export interface ShadowRoomView {
  readonly draining: boolean;
  /** Shadows that run at this coordinator. */
  readonly shadows: number;
  /** Sequences that wait for room at the shadow's model. */
  readonly waiting: number;
  /** Requests in flight at the shadow's model, and how many there may be. */
  readonly inFlight: number;
  readonly inFlightMax: number;
  /** Share of the KV positions of its workers that is spoken for, 0 to 1; 1 without a worker. */
  readonly reservedShare: number;
}

export type ShadowRoom = 'start' | 'draining' | 'shadows-full' | 'model-busy' | 'memory-full';

/**
 * May a shadow start, or go on? Whatever speaks against it drops it: nobody waits for what it says.
 * 1. Not at a coordinator that is going away.
 * 2. `shadowsMax` are enough to measure, and bound what they hold.
 * 3. Nobody may wait at its model, nor may that be half full of requests, and
 * 4. half of its memory stays for those that come.
 */
export function shadowRoom(view: ShadowRoomView): ShadowRoom {
  if (view.draining) return 'draining';
  if (view.shadows >= LIMITS.shadowsMax) return 'shadows-full';
  if (view.waiting > 0 || view.inFlight >= view.inFlightMax * LIMITS.shadowLoadShare) return 'model-busy';
  if (view.reservedShare >= LIMITS.shadowLoadShare) return 'memory-full';
  return 'start';
}

/** Uniform in (0, 1), the same for the same words everywhere. */
function draw(...words: readonly string[]): number {
  const digest = createHash('sha256').update(JSON.stringify(words)).digest();
  return (digest.readUIntBE(0, 6) + 0.5) / 2 ** 48;
}
