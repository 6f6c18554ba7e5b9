// "Your team": a panel that stays in sight, with the team's row, its neighbours, and what keeps it from them.
import { setText } from './dom.js';
import { count, gap, ordinal } from './format.js';
import { recall, remember } from './prefs.js';
import { fillRow, makeRow } from './rows.js';

export class PinnedPanel {
  #answer = null;
  #columns = null;
  #open = true;

  /** `elements`: panel, rows, text, toggle, jump, unpin. */
  constructor(elements, { onJump, onUnpin }) {
    this.elements = elements;
    elements.jump.addEventListener('click', onJump);
    elements.unpin.addEventListener('click', onUnpin);
    this.#open = recall('neighbours', matchMedia('(max-width: 720px)').matches ? 'closed' : 'open') !== 'closed';
    elements.toggle.addEventListener('click', () => {
      this.#open = !this.#open;
      remember('neighbours', this.#open ? null : 'closed');
      this.#draw();
    });
  }

  hide() {
    this.#answer = null;
    this.elements.panel.hidden = true;
  }

  /** The team was pinned, but there is no answer yet, or there is none to come. */
  message(text) {
    this.#answer = null;
    const { panel, rows, toggle, jump } = this.elements;
    panel.hidden = false;
    rows.hidden = true;
    toggle.hidden = true;
    jump.hidden = true;
    setText(this.elements.text, text);
  }

  /** `answer` = the API's answer about one team; `columns` as of the table. */
  show(answer, columns) {
    this.#answer = answer;
    this.#columns = columns;
    this.#draw();
  }

  /** The columns may have changed. */
  layout(columns) {
    if (this.#answer && columns !== this.#columns) this.show(this.#answer, columns);
  }

  #draw() {
    const { panel, rows, text, toggle, jump } = this.elements;
    const answer = this.#answer;
    if (!answer || !this.#columns) return;
    panel.hidden = false;
    rows.hidden = false;
    toggle.hidden = false;
    jump.hidden = false;
    toggle.setAttribute('aria-expanded', String(this.#open));
    setText(text, standing(answer, this.#columns));
    const shown = this.#open ? [answer.above?.at(-1), answer.row, answer.below?.[0]] : [undefined, answer.row, undefined];
    const wanted = shown.filter(Boolean);
    while (rows.children.length > wanted.length) rows.lastElementChild.remove();
    wanted.forEach((row, i) => {
      let element = rows.children[i];
      if (!element || element.columns !== this.#columns) {
        const made = makeRow(this.#columns, 'cell');
        made.parts.pin.remove();
        if (element) element.replaceWith(made);
        else rows.append(made);
        element = made;
      }
      const own = row === answer.row;
      fillRow(element, { ...row, problems: row.problems ?? [] }, { pinned: own, flash: own });
      element.removeAttribute('aria-selected');
    });
  }
}

/** "12th of 53 · 40 penalty behind Foo · 1 solved ahead of Bar". */
export function standing(answer, columns) {
  const { row, above = [], below = [] } = answer;
  const word = columns.byTime ? 'solved' : 'points';
  const parts = [];
  parts.push(Number.isFinite(row.rank) ? ordinal(row.rank) : 'Not ranked');
  const next = above.at(-1);
  if (next) parts.push(distance(gap(row, next, word, columns), 'behind', row, next));
  const chaser = below[0];
  if (chaser) parts.push(distance(gap(chaser, row, word, columns), 'ahead of', row, chaser));
  return parts.join(' · ');
}

function distance(by, side, row, other) {
  const name = other.name ?? other.team;
  if (by !== 'level') return `${by} ${side} ${name}`;
  // Same score and penalty, other ranks: the earlier last solve decides.
  return row.rank === other.rank ? `level with ${name}` : `${side} ${name} by the last solve`;
}

/** What is said aloud when the pinned team's answer changes; null when nothing that matters did. */
export function changeText(before, after) {
  if (!before || before.row.team !== after.row.team) return null;
  const rank = [before.row.rank, after.row.rank];
  const solved = [before.row.score ?? 0, after.row.score ?? 0];
  if (rank[0] === rank[1] && solved[0] === solved[1]) return null;
  const parts = [`Your team ${after.row.name ?? after.row.team}: rank ${count(after.row.rank ?? 0)}`];
  if (Number.isFinite(rank[0]) && Number.isFinite(rank[1]) && rank[0] !== rank[1]) {
    parts.push(rank[1] < rank[0] ? `up ${count(rank[0] - rank[1])}` : `down ${count(rank[1] - rank[0])}`);
  }
  if (solved[1] !== solved[0]) parts.push(`score ${count(solved[1])}`);
  return `${parts.join(', ')}.`;
}
