// Speaks to screen readers, politely and seldom: at most one sentence per interval, and then the latest.

export class Announcer {
  #last = Number.NEGATIVE_INFINITY;
  #waiting = null;
  #timer = null;

  constructor(element, { intervalMs = 8000, now = () => performance.now(), later = (f, ms) => setTimeout(f, ms) } = {}) {
    this.element = element;
    this.intervalMs = intervalMs;
    this.now = now;
    this.later = later;
  }

  /** Says `text` now, or when the interval is over unless something newer comes. */
  say(text) {
    this.#waiting = text;
    if (this.#timer !== null) return;
    const wait = this.#last + this.intervalMs - this.now();
    if (wait <= 0) this.#speak();
    else this.#timer = this.later(() => this.#speak(), wait);
  }

  #speak() {
    this.#timer = null;
    this.#last = this.now();
    this.element.textContent = this.#waiting ?? '';
    this.#waiting = null;
  }
}
