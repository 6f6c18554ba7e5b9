// Loads the names of all teams, part by part, when the search is first used. The server gives names without the rest of
// their rows; those of up to 30,000 rows are small enough to read once (at one version, so that no row is missed). Larger
// boards search what is loaded.
import { checkPage } from './state.js';

export const MOST_ROWS = 30_000;
const PART_ROWS = 5000;

export class Names {
  #run = null;
  #done = false;

  /** `fetchNames` like `fetchPage` of Windows, for rows of team, name and organization; `onProgress({loaded, total, done, failed})`. */
  constructor({ index, fetchNames, onProgress }) {
    Object.assign(this, { index, fetchNames, onProgress });
  }

  clear() {
    this.#run?.abort();
    this.#run = null;
    this.#done = false;
    this.index.clear();
  }

  /** Reads all names unless they are read or being read. `total` rows are there now. */
  async load(total) {
    if (this.#run || (this.#done && this.index.size >= total)) return;
    if (total > MOST_ROWS) {
      this.onProgress({ loaded: this.index.size, total, done: false, partial: true });
      return;
    }
    const run = new AbortController();
    this.#run = run;
    try {
      await this.#read(run.signal);
      this.#done = true;
    } catch {
      if (this.#run === run) this.onProgress({ loaded: this.index.size, total, done: false, failed: true });
    } finally {
      if (this.#run === run) this.#run = null;
    }
  }

  async #read(signal) {
    let at;
    let from = 0;
    for (;;) {
      let page;
      try {
        page = await this.fetchNames({ from, limit: PART_ROWS, at, signal });
      } catch (error) {
        if (error.status !== 410 || at === undefined) throw error;
        // The version went while reading. Names hardly change: go on at the newest.
        at = undefined;
        continue;
      }
      if (signal.aborted) return;
      const rows = checkPage(page);
      at = page.version;
      rows.forEach((row, i) => this.index.add(row, from + i));
      from += rows.length;
      const done = rows.length === 0 || from >= page.total_rows;
      this.onProgress({ loaded: from, total: page.total_rows, done });
      if (done) return;
    }
  }
}
