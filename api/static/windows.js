// The rows below the live top, by windows of 200, fetched when they come into sight, pinned to one version.
// Old rows stay on show until the new ones are there. When the version moves, the visible windows are fetched again:
// all in one go, at most every two seconds, with jitter, so that 25,000 readers do not ask in the same instant.
import { checkPage } from './state.js';

export const WINDOW_ROWS = 200;
const KEPT_WINDOWS = 16;
const SETTLE_MS = 70;
const REFRESH_MS = 2000;
const LAST_RETRY_MS = 30_000;

export class Windows {
  #kept = new Map(); // window number -> {version, rows}; insertion order is the order of last use
  #range = null;
  #version = null;
  #batch = null;
  #timer = null;
  #dueAt = 0;
  #refreshFrom = 0;
  #failures = 0;

  /**
   * `fetchPage({from, limit, at, signal})` -> page or an error with `status`; `onRows()` after rows came;
   * `busy()` is true while replacing rows would disturb (the reader scrolls): a refresh then waits.
   */
  constructor({ fetchPage, onRows, busy = () => false, now = () => performance.now(), later = (f, ms) => setTimeout(f, ms), cancel = (timer) => clearTimeout(timer), random = Math.random }) {
    Object.assign(this, { fetchPage, onRows, busy, now, later, cancel, random });
  }

  /** The row at an index, or undefined while it is not there. */
  row(index) {
    const number = Math.floor(index / WINDOW_ROWS);
    return this.#kept.get(number)?.rows[index - number * WINDOW_ROWS];
  }

  /** All rows at hand with their indices, for looking a team up. */
  *entries() {
    for (const [number, { rows }] of this.#kept) {
      for (let i = 0; i < rows.length; i += 1) yield [number * WINDOW_ROWS + i, rows[i]];
    }
  }

  get keptWindows() {
    return this.#kept.size;
  }

  /** The rows [first, last] are in sight; null when none below the live top is. */
  want(first, last) {
    this.#range = first === null || last < first ? null : [Math.floor(first / WINDOW_ROWS), Math.floor(last / WINDOW_ROWS)];
    for (const number of this.#wanted()) this.#touch(number);
    if (this.#batch && !this.#wanted().some((number) => this.#batch.numbers.includes(number))) {
      this.#batch.stop.abort();
      this.#batch = null;
    }
    this.#plan();
  }

  /** The board has moved to `version` (or back: then nothing that is kept can be trusted). */
  moveTo(version) {
    if (this.#version !== null && version < this.#version) this.clear();
    this.#version = version;
    this.#plan();
  }

  /** Forgets all rows (another division, another server). */
  clear() {
    this.#batch?.stop.abort();
    this.#batch = null;
    this.#kept.clear();
    this.#version = null;
    this.#failures = 0;
    this.#refreshFrom = 0;
    this.#unplan();
  }

  #wanted() {
    if (this.#range === null) return [];
    const [first, last] = this.#range;
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  }

  #touch(number) {
    const entry = this.#kept.get(number);
    if (!entry) return;
    this.#kept.delete(number);
    this.#kept.set(number, entry);
  }

  #unplan() {
    if (this.#timer !== null) this.cancel(this.#timer);
    this.#timer = null;
  }

  #plan() {
    if (this.#batch || this.#version === null) return;
    const wanted = this.#wanted();
    const missing = wanted.some((number) => !this.#kept.has(number));
    const stale = wanted.some((number) => this.#kept.has(number) && this.#kept.get(number).version !== this.#version);
    if (!missing && !stale) {
      this.#unplan();
      return;
    }
    const now = this.now();
    let due = missing ? now + SETTLE_MS : Math.max(now + 50 + this.random() * 450, this.#refreshFrom);
    if (this.#failures > 0) {
      due = now + Math.min(LAST_RETRY_MS, 500 * 2 ** this.#failures) * (0.5 + this.random() / 2);
    }
    // A plan for stale rows is brought forward for missing ones, never put off: versions may move all the time.
    if (this.#timer !== null && this.#dueAt <= due) return;
    this.#unplan();
    this.#dueAt = due;
    this.#timer = this.later(() => {
      this.#timer = null;
      this.#fetch();
    }, due - now);
  }

  async #fetch() {
    const target = this.#version;
    const numbers = this.#wanted().filter((number) => this.#kept.get(number)?.version !== target);
    if (numbers.length === 0) return;
    const refresh = numbers.every((number) => this.#kept.has(number));
    if (refresh && this.busy()) {
      this.#plan();
      return;
    }
    const batch = { numbers, stop: new AbortController() };
    this.#batch = batch;
    let pages;
    try {
      pages = await this.#pages(numbers, target, batch.stop.signal);
    } catch {
      if (this.#batch !== batch) return;
      this.#batch = null;
      this.#failures += 1;
      this.#plan();
      return;
    }
    if (this.#batch !== batch) return;
    this.#batch = null;
    this.#failures = 0;
    this.#refreshFrom = this.now() + REFRESH_MS + this.random() * 1000;
    for (const [i, number] of numbers.entries()) {
      this.#kept.delete(number);
      // `target` and not the page's own version: newest-instead-of-pinned counts as fresh until the version moves.
      this.#kept.set(number, { version: target, rows: pages[i] });
    }
    this.#evict();
    this.onRows();
    this.#plan();
  }

  async #pages(numbers, target, signal) {
    const ask = async (number, at) => {
      const page = await this.fetchPage({ from: number * WINDOW_ROWS, limit: WINDOW_ROWS, at, signal });
      return { version: page.version, rows: checkPage(page) };
    };
    const rowsOf = async (asked) => (await Promise.all(asked)).map((page) => page.rows);
    try {
      return await rowsOf(numbers.map((number) => ask(number, target)));
    } catch (error) {
      // 410: the version is no longer kept. The newest will do (the same for all); the stream is about to tell of it.
      if (error.status !== 410) throw error;
      const first = await ask(numbers[0], undefined);
      return [first.rows, ...(await rowsOf(numbers.slice(1).map((number) => ask(number, first.version))))];
    }
  }

  #evict() {
    const wanted = new Set(this.#wanted());
    for (const number of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_WINDOWS) break;
      if (!wanted.has(number)) this.#kept.delete(number);
    }
  }
}
