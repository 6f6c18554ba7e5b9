// The virtual table: of many thousand rows only those in sight are in the document. Rows have one height and stand at
// index x height; an element belongs to a team, so that a team whose rank changes glides to its new place.
import { make, reducedMotion, setAttribute } from './dom.js';
import { columnsOf, fillHead, fillRow, makeHead, makeRow } from './rows.js';

const OVERSCAN_ROWS = 6;
const GLIDE_MS = 420;
const SCROLL_QUIET_MS = 160;
const NEAR_ROWS = 400;

export class Table {
  #columns = null;
  #head = null;
  #elements = new Map(); // 't:' + team or 'i:' + index -> element
  #pool = [];
  #focus = { index: 0, team: null };
  #frame = null;
  #dataChanged = false;
  #rowHeight = 42;
  #lastScrollAt = Number.NEGATIVE_INFINITY;
  #ownScroll = null;
  #seeking = null;

  /** `model` = {total, rowAt(index), pinned, board}; `onRange(first, last)` says which rows are in sight. */
  constructor({ scroller, grid, model, onRange, onPin }) {
    Object.assign(this, { scroller, grid, model, onRange, onPin });
    this.headGroup = make('div', { class: 'head', role: 'rowgroup' });
    this.body = make('div', { class: 'body', role: 'rowgroup' });
    grid.append(this.headGroup, this.body);
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.body.addEventListener('click', (event) => this.#clicked(event));
    this.body.addEventListener('focusin', (event) => this.#focused(event));
    grid.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(() => this.#resized()).observe(scroller);
  }

  get columns() {
    return this.#columns;
  }

  /** True while the reader scrolls: rows should not be exchanged under the finger. */
  get scrolling() {
    return performance.now() - this.#lastScrollAt < SCROLL_QUIET_MS;
  }

  /** The board or its rows have changed: draws at the next frame, gliding. */
  update() {
    this.#dataChanged = true;
    this.#schedule();
  }

  /** Forgets everything (another board): back to the top, no gliding. */
  reset() {
    this.#focus = { index: 0, team: null };
    this.#seeking = null;
    for (const element of this.#elements.values()) this.#retire(element);
    this.#elements.clear();
    this.#scrollTo(0);
    this.update();
  }

  /** Brings `team`, last known at `index`, into the middle, focuses it and lights it up once it is loaded. */
  seek(team, index) {
    this.#seeking = team;
    this.#focus = { index, team };
    const middle = (this.#viewHeight() - this.#rowHeight) / 2;
    this.#draw();
    this.#scrollTo(index * this.#rowHeight - middle);
    this.#draw();
  }

  #viewHeight() {
    return Math.max(0, this.scroller.clientHeight - this.headGroup.offsetHeight);
  }

  #scrollTo(top) {
    this.scroller.scrollTop = Math.max(0, top);
    this.#ownScroll = this.scroller.scrollTop;
  }

  #schedule() {
    this.#frame ??= requestAnimationFrame(() => this.#draw());
  }

  #scrolled() {
    if (this.scroller.scrollTop !== this.#ownScroll) this.#lastScrollAt = performance.now();
    this.#ownScroll = null;
    this.#schedule();
  }

  #resized() {
    const height = Number.parseFloat(getComputedStyle(this.grid).getPropertyValue('--row-height')) || 42;
    if (height !== this.#rowHeight) {
      const first = this.scroller.scrollTop / this.#rowHeight;
      this.#rowHeight = height;
      this.body.style.height = `${this.model.total * height}px`;
      this.#scrollTo(first * height);
    }
    this.#schedule();
  }

  #layoutColumns() {
    const { board } = this.model;
    if (!board) return;
    const columns = columnsOf(board, this.#columns);
    if (columns !== this.#columns) {
      this.#columns = columns;
      this.#head = makeHead(columns);
      this.headGroup.replaceChildren(this.#head);
      document.documentElement.style.setProperty('--problems', String(Math.max(1, columns.problems.length)));
      document.documentElement.dataset.scoring = columns.byTime ? 'time' : 'points';
      for (const element of this.#elements.values()) element.remove();
      this.#elements.clear();
      this.#pool = [];
      this.#resized();
    }
    fillHead(this.#head, board.problems ?? []);
    setAttribute(this.grid, 'aria-rowcount', String(this.model.total + 1));
    setAttribute(this.grid, 'aria-colcount', String(4 + columns.problems.length));
  }

  // How far the rows in sight have moved: the median over their teams. The scroll position moves along, so that the
  // reader goes on looking at the same rows. At the very top the reader looks at the leaders, whoever they are.
  #anchorShift() {
    const height = this.#rowHeight;
    const top = this.scroller.scrollTop;
    if (top < height / 2) return 0;
    const first = Math.floor(top / height);
    const last = Math.ceil((top + this.#viewHeight()) / height);
    const places = new Map();
    for (let i = Math.max(0, first - NEAR_ROWS); i <= last + NEAR_ROWS; i += 1) {
      const row = this.model.rowAt(i);
      if (row) places.set(row.team, i);
    }
    const shifts = [];
    for (const element of this.#elements.values()) {
      if (!element.shown || element.index < first || element.index >= last) continue;
      const place = places.get(element.shown.team);
      if (place !== undefined) shifts.push(place - element.index);
    }
    const own = places.get(this.#focus.team);
    if (own !== undefined) this.#focus.index = own;
    if (shifts.length === 0) return 0;
    shifts.sort((a, b) => a - b);
    return shifts[Math.floor(shifts.length / 2)];
  }

  #draw() {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const { model } = this;
    if (!model.board) return;
    const changed = this.#dataChanged;
    this.#dataChanged = false;
    const oldTop = this.scroller.scrollTop;
    if (changed) {
      const shift = this.#seeking === null ? this.#anchorShift() : 0;
      this.#layoutColumns();
      this.body.style.height = `${model.total * this.#rowHeight}px`;
      if (shift !== 0) this.#scrollTo(oldTop + shift * this.#rowHeight);
      if (shift === 0 && this.#focus.team !== null) this.#followFocus();
    }
    if (this.#columns === null) return;
    this.#place(changed, oldTop);
    this.#land();
  }

  #followFocus() {
    const { index, team } = this.#focus;
    if (this.model.rowAt(index)?.team === team) return;
    for (let step = 1; step <= NEAR_ROWS; step += 1) {
      for (const i of [index - step, index + step]) {
        if (i >= 0 && this.model.rowAt(i)?.team === team) {
          this.#focus.index = i;
          return;
        }
      }
    }
  }

  #place(changed, oldTop) {
    const { model } = this;
    const height = this.#rowHeight;
    const top = this.scroller.scrollTop;
    const view = this.#viewHeight();
    const firstSeen = Math.floor(top / height);
    const lastSeen = Math.min(model.total, Math.ceil((top + view) / height)) - 1;
    const first = Math.max(0, firstSeen - OVERSCAN_ROWS);
    const last = Math.min(model.total - 1, lastSeen + OVERSCAN_ROWS);
    const held = this.body.contains(document.activeElement);
    const focus = this.#focus;
    focus.index = Math.min(focus.index, Math.max(0, model.total - 1));
    if (!held && this.#seeking === null) {
      // Nobody is in the table: Tab should enter it where it is looked at.
      focus.index = Math.max(firstSeen, Math.min(focus.index, lastSeen));
      focus.team = model.rowAt(focus.index)?.team ?? null;
    }
    const indices = [];
    for (let i = first; i <= last; i += 1) indices.push(i);
    if (held && (focus.index < first || focus.index > last) && model.total > 0) indices.push(focus.index);

    const glide = changed && !reducedMotion() && !document.hidden;
    const before = this.#elements;
    const next = new Map();
    for (const index of indices) {
      const row = model.rowAt(index);
      let key = row ? `t:${row.team}` : `i:${index}`;
      if (next.has(key)) key = `i:${index}`; // a team on two pages of different versions, for a moment
      let element = before.get(key);
      if (element) before.delete(key);
      else if (row && before.has(`i:${index}`)) {
        element = before.get(`i:${index}`);
        before.delete(`i:${index}`);
      }
      next.set(key, this.#show(element, index, row, { glide, oldTop, top, view }));
    }
    for (const element of before.values()) this.#retire(element);
    this.#elements = next;
    if (held && !this.body.contains(document.activeElement)) this.#elementAt(focus.index)?.focus({ preventScroll: true });
    this.onRange(Math.max(0, firstSeen - 40), Math.min(model.total - 1, lastSeen + 40));
  }

  #show(known, index, row, { glide, oldTop, top, view }) {
    const height = this.#rowHeight;
    const element = known ?? this.#pool.pop() ?? makeRow(this.#columns);
    const oldIndex = known ? element.index : null;
    element.index = index;
    element.style.transform = `translateY(${index * height}px)`;
    setAttribute(element, 'aria-rowindex', String(index + 2));
    setAttribute(element, 'tabindex', index === this.#focus.index ? '0' : '-1');
    fillRow(element, row, { pinned: row !== undefined && row.team === this.model.pinned, flash: glide });
    // A line where the score steps down: the eye finds the group "solved 9" at once.
    const above = index > 0 ? this.model.rowAt(index - 1) : undefined;
    element.classList.toggle('step', Boolean(row && above && above.score !== row.score));
    if (!element.isConnected) this.body.append(element);
    if (glide && oldIndex !== null) {
      const distance = oldIndex * height - oldTop - (index * height - top);
      if (Math.abs(distance) >= 1) this.#glide(element, Math.max(-view, Math.min(view, distance)));
    }
    return element;
  }

  #glide(element, distance) {
    const running = element.gliding?.playState === 'running';
    const left = running ? Number.parseFloat(getComputedStyle(element).translate.split(' ')[1] ?? '0') || 0 : 0;
    element.gliding?.cancel();
    element.classList.toggle('rising', distance > 0);
    element.gliding = element.animate([{ translate: `0 ${distance + left}px` }, { translate: '0 0' }], {
      duration: GLIDE_MS,
      easing: 'cubic-bezier(.2,.7,.2,1)',
    });
    element.gliding.onfinish = () => element.classList.remove('rising');
  }

  #retire(element) {
    element.gliding?.cancel();
    element.classList.remove('rising', 'found');
    element.shown = null;
    element.parts.move.classList.remove('show');
    element.remove();
    if (this.#pool.length < 60 && element.columns === this.#columns) this.#pool.push(element);
  }

  #elementAt(index) {
    for (const element of this.#elements.values()) if (element.index === index) return element;
    return undefined;
  }

  // The end of a seek: the team is loaded. It may stand a few rows from where it was last known.
  #land() {
    if (this.#seeking === null) return;
    const element = this.#elements.get(`t:${this.#seeking}`);
    if (!element) return;
    this.#seeking = null;
    this.#focus = { index: element.index, team: element.shown.team };
    for (const other of this.#elements.values()) setAttribute(other, 'tabindex', other === element ? '0' : '-1');
    element.focus({ preventScroll: true });
    element.classList.remove('found');
    void element.offsetWidth;
    element.classList.add('found');
  }

  #clicked(event) {
    const button = event.target.closest('.pin');
    const row = button?.closest('.row')?.shown;
    if (row) this.onPin(row.team);
  }

  #focused(event) {
    const element = event.target.closest('.row');
    if (!element || element.index === undefined) return;
    this.#focus = { index: element.index, team: element.shown?.team ?? null };
    for (const other of this.#elements.values()) setAttribute(other, 'tabindex', other === element ? '0' : '-1');
  }

  #key(event) {
    if (event.altKey || event.metaKey || event.ctrlKey || event.shiftKey || !event.target.closest('.body .row')) return;
    const page = Math.max(1, Math.floor(this.#viewHeight() / this.#rowHeight) - 1);
    const end = this.model.total - 1;
    const { index } = this.#focus;
    const to = { ArrowUp: index - 1, ArrowDown: index + 1, PageUp: index - page, PageDown: index + page, Home: 0, End: end }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.#moveFocus(Math.max(0, Math.min(end, to)));
    } else if (event.key === 'Enter' && event.target.classList.contains('row')) {
      event.preventDefault();
      const row = this.model.rowAt(index);
      if (row) this.onPin(row.team);
    }
  }

  #moveFocus(index) {
    this.#seeking = null;
    this.#focus = { index, team: this.model.rowAt(index)?.team ?? null };
    const height = this.#rowHeight;
    const top = this.scroller.scrollTop;
    const view = this.#viewHeight();
    if (index * height < top) this.#scrollTo(index * height);
    else if ((index + 1) * height > top + view) this.#scrollTo((index + 1) * height - view);
    this.#draw();
    this.#elementAt(index)?.focus({ preventScroll: true });
  }
}
