// The search field: a combobox over the names. Pure text in, a chosen team out.
import { make, setText } from './dom.js';
import { count } from './format.js';

const SHOWN = 30;

export class SearchBox {
  #active = -1;
  #matches = [];
  #progress = null;

  /** `elements`: input, popup, list, note. `index` = SearchIndex; `onUse()` before the first use; `onChoose(team)`. */
  constructor({ input, popup, list, note }, { index, onUse, onChoose }) {
    Object.assign(this, { input, popup, list, note, index, onUse, onChoose });
    input.addEventListener('focus', () => {
      onUse();
      this.#search();
    });
    input.addEventListener('input', () => {
      onUse();
      this.#search();
    });
    input.addEventListener('keydown', (event) => this.#key(event));
    input.addEventListener('blur', () => this.#close());
    // pointerdown and not click: a click would first blur the field, which closes the list.
    list.addEventListener('pointerdown', (event) => {
      const option = event.target.closest('[role=option]');
      event.preventDefault();
      if (option) this.#choose(this.#matches[Number(option.dataset.at)]);
    });
  }

  /** `{loaded, total, done, failed, partial}` from Names. */
  progress(progress) {
    this.#progress = progress;
    if (document.activeElement === this.input) this.#search();
  }

  #search() {
    const query = this.input.value.trim();
    if (query === '') {
      this.#close();
      return;
    }
    const kept = this.#matches[this.#active]?.team;
    this.#matches = this.index.find(query, SHOWN);
    this.#active = Math.max(0, this.#matches.findIndex((match) => match.team === kept));
    if (this.#matches.length === 0) this.#active = -1;
    this.list.replaceChildren(...this.#matches.map((match, i) => option(match, i)));
    this.#note();
    this.popup.hidden = false;
    this.input.setAttribute('aria-expanded', 'true');
    this.#mark();
  }

  #note() {
    const p = this.#progress;
    const found = this.#matches.length;
    const hits = found === 0 ? 'No team found' : found === SHOWN ? `The first ${SHOWN} matches` : `${found} found`;
    let text = hits;
    if (p?.partial) text = `${hits} among the ${count(p.loaded)} teams loaded; this board is too large to search whole`;
    else if (p?.failed) text = `${hits} among ${count(p.loaded)} teams; the others could not be loaded`;
    else if (p && !p.done) text = `${hits} so far; reading names: ${count(p.loaded)} of ${count(p.total)}`;
    setText(this.note, text);
  }

  #mark() {
    [...this.list.children].forEach((element, i) => {
      element.setAttribute('aria-selected', String(i === this.#active));
      if (i === this.#active) element.scrollIntoView({ block: 'nearest' });
    });
    if (this.#active >= 0) this.input.setAttribute('aria-activedescendant', `match-${this.#active}`);
    else this.input.removeAttribute('aria-activedescendant');
  }

  #key(event) {
    const open = !this.popup.hidden;
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      if (this.input.value === '') this.input.blur();
      this.input.value = '';
      this.#close();
    } else if (open && (event.key === 'ArrowDown' || event.key === 'ArrowUp') && this.#matches.length > 0) {
      event.preventDefault();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      this.#active = (this.#active + step + this.#matches.length) % this.#matches.length;
      this.#mark();
    } else if (event.key === 'Enter' && open && this.#active >= 0) {
      event.preventDefault();
      this.#choose(this.#matches[this.#active]);
    }
  }

  #choose(match) {
    if (!match) return;
    this.input.value = '';
    this.#close();
    this.input.blur();
    this.onChoose(match);
  }

  #close() {
    this.popup.hidden = true;
    this.#matches = [];
    this.#active = -1;
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }
}

function option(match, i) {
  return make(
    'li',
    { role: 'option', id: `match-${i}`, 'data-at': String(i) },
    make('span', { class: 'name', dir: 'auto' }, match.name),
    make('span', { class: 'organization', dir: 'auto' }, match.organization && match.organization !== match.name ? match.organization : ''),
    make('span', { class: 'id' }, match.team),
  );
}
