import type { LiveRates } from '../live-rates.ts';
import { depthColour } from './colour.ts';

/** One turn of the ring; rows are much faster, and nobody could see them. */
const TURN_MS = 2600;
const LEAVE_MS = 700;
/** Dots that enter in the time of a frame. With more rows a dot stands for several. */
const DOTS_MAX = 26;
const DOT_RADIUS = 3.1;
/** How far from the middle of the track a dot may run, and how far out it leaves. */
const SPREAD = 7;
const OUTWARD = 34;

interface Dot {
  /** When it enters, in the page's time. */
  readonly entersMs: number;
  /** Passes after which it leaves. */
  readonly passes: number;
  readonly aside: number;
}

interface Shape {
  /** Of the drawing, in its own units; the canvas scales it. */
  readonly size: number;
  readonly radius: number;
}

/** Passes of the rows that entered in the time of `rates`, as few dots: each stands for `rows` rows. */
export function dotsOf(
  rates: LiveRates,
  most: number,
): { readonly rows: number; readonly passes: readonly number[] } {
  const counts = rates.exits.map((exits) => exits * rates.seconds);
  const left = counts.reduce((sum, count) => sum + count, 0);
  // What entered and became no token is a prompt's, and those run every pass.
  const prompt = Math.max(0, (rates.depths[0] ?? 0) * rates.seconds - left);
  const all = counts.map((count, depth) => (depth === counts.length - 1 ? count + prompt : count));
  const rows = Math.max(1, Math.ceil((left + prompt) / most));
  return {
    rows,
    passes: all.flatMap((count, depth) => Array<number>(Math.round(count / rows)).fill(depth + 1)),
  };
}

/** Draws dots that move round the ring and leave it where tokens left. Nothing moves for who prefers that. */
export class RingRows {
  readonly #canvas: HTMLCanvasElement;
  readonly #maxDepth: number;
  readonly #shape: Shape;
  readonly #still = matchMedia('(prefers-reduced-motion: reduce)');
  #dots: Dot[] = [];
  #next: number | undefined;

  constructor(canvas: HTMLCanvasElement, maxDepth: number, shape: Shape) {
    this.#canvas = canvas;
    this.#maxDepth = maxDepth;
    this.#shape = shape;
  }

  /** What entered since the last frame enters over the time of one. */
  add(rates: LiveRates): void {
    if (this.#still.matches || document.hidden) return;
    const now = performance.now();
    const { passes } = dotsOf(rates, DOTS_MAX);
    for (const each of passes) {
      this.#dots.push({
        entersMs: now + Math.random() * 1000 * rates.seconds,
        passes: each,
        aside: (2 * Math.random() - 1) * SPREAD,
      });
    }
    if (this.#dots.length > 0) this.#next ??= requestAnimationFrame((at) => this.#draw(at));
  }

  stop(): void {
    if (this.#next !== undefined) cancelAnimationFrame(this.#next);
    this.#dots = [];
  }

  #draw(now: number): void {
    const { size, radius } = this.#shape;
    const pixels = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    if (this.#canvas.width !== pixels) this.#canvas.width = this.#canvas.height = pixels;
    const pen = this.#canvas.getContext('2d')!;
    pen.setTransform(pixels / size, 0, 0, pixels / size, 0, 0);
    pen.clearRect(0, 0, size, size);
    const perMs = this.#maxDepth / TURN_MS;
    this.#dots = this.#dots.filter(({ entersMs, passes }) => now < entersMs + passes / perMs + LEAVE_MS);
    for (const { entersMs, passes, aside } of this.#dots) {
      if (now < entersMs) continue;
      const ran = Math.min((now - entersMs) * perMs, passes);
      const leaving = Math.max(0, (now - entersMs - passes / perMs) / LEAVE_MS);
      const angle = (2 * Math.PI * ran) / this.#maxDepth;
      const away = radius + aside + OUTWARD * leaving;
      pen.globalAlpha = 1 - leaving;
      pen.fillStyle = depthColour(Math.min(Math.floor(ran), passes - 1), this.#maxDepth);
      pen.beginPath();
      pen.arc(
        size / 2 + away * Math.sin(angle),
        size / 2 - away * Math.cos(angle),
        DOT_RADIUS,
        0,
        2 * Math.PI,
      );
      pen.fill();
    }
    this.#next = this.#dots.length > 0 ? requestAnimationFrame((at) => this.#draw(at)) : undefined;
  }
}
