// The server's clock, from Date headers. A Date header is a whole second, so each answer only bounds the offset;
// the bounds of several answers are intersected, which gets well below a second.

export class ServerClock {
  #low = Number.NEGATIVE_INFINITY;
  #high = Number.POSITIVE_INFINITY;

  constructor(now = () => Date.now()) {
    this.local = now;
  }

  /** Takes a Date header (any text) of an answer that was asked for at `sentAt` and came at `receivedAt`, local ms. */
  observe(dateHeader, sentAt, receivedAt) {
    const date = Date.parse(dateHeader ?? '');
    if (!Number.isFinite(date) || receivedAt < sentAt) return;
    const low = date - receivedAt;
    const high = date + 1000 - sentAt;
    const nextLow = Math.max(this.#low, low);
    const nextHigh = Math.min(this.#high, high);
    // No overlap: one of the clocks was set. Believe the newest answer.
    [this.#low, this.#high] = nextLow <= nextHigh ? [nextLow, nextHigh] : [low, high];
  }

  /** Server time minus local time, ms; 0 until something was observed. */
  get offsetMs() {
    return Number.isFinite(this.#low) ? Math.round((this.#low + this.#high) / 2) : 0;
  }

  now() {
    return this.local() + this.offsetMs;
  }
}
