/** How much the newest token counts: the shares follow a change within some hundred tokens. */
const NEWEST_SHARE = 0.01;

/** How many passes generated tokens take here: the shares of those that take one, two … passes, as moving averages. */
export class PassesSpent {
  /** [maxDepth] share of the tokens that took index + 1 passes. */
  readonly #shares: Float64Array;
  #tokens = 0;

  constructor(maxDepth: number) {
    this.#shares = new Float64Array(maxDepth);
  }

  /** A token is out whose row ran `passes` passes, 1…maxDepth. */
  spent(passes: number): void {
    this.#tokens++;
    const newest = Math.max(NEWEST_SHARE, 1 / this.#tokens);
    for (let index = 0; index < this.#shares.length; index++) {
      const took = index === passes - 1 ? 1 : 0;
      this.#shares[index]! += newest * (took - this.#shares[index]!);
    }
  }

  /**
   * [maxDepth] passes that a token takes on average which takes more than index, 0 the average of all; where none has taken
   * more, index + 1. Undefined before the first token.
   */
  get expected(): readonly number[] | undefined {
    if (this.#tokens === 0) return undefined;
    const expected: number[] = [];
    let [share, passes] = [0, 0];
    for (let index = this.#shares.length - 1; index >= 0; index--) {
      share += this.#shares[index]!;
      passes += this.#shares[index]! * (index + 1);
      expected[index] = share > 0 ? passes / share : index + 1;
    }
    return expected;
  }
}
