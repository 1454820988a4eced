/** How long after a worker fell idle it looks, in milliseconds: what comes at once after an end does not wait for it. */
export const IDLE_CHECK_AFTER_MS = 250;

/** Looks at a worker that has had nothing to do for a moment: at most once in `IDLE_CHECK_AFTER_MS`, and not while it has. */
export class IdleCheck {
  readonly #idle: () => boolean;
  readonly #check: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(idle: () => boolean, check: () => void) {
    this.#idle = idle;
    this.#check = check;
  }

  /** The worker has fallen idle, or may have. */
  due(): void {
    if (this.#timer !== undefined || !this.#idle()) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#idle()) this.#check();
    }, IDLE_CHECK_AFTER_MS);
    this.#timer.unref();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
