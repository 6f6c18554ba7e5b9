// The head of the page: what event, how it stands, the contest clock, the freeze banner, how fresh the board is.
import { setText } from './dom.js';
import { eventPhase, freezeText, plural } from './format.js';

const GRACE_MS = 1500;
const STALE_MS = 10_000;

export class Header {
  #board = null;
  #status = 'connecting';
  #lostAt = null;
  #said = 'live';

  /** `elements` by id; `clock` = ServerClock; `onFreshness(text)` when the board goes stale or comes back. */
  constructor(elements, clock, onFreshness) {
    Object.assign(this, { elements, clock, onFreshness });
    this.#tick();
  }

  show(board) {
    this.#board = board;
    const { elements } = this;
    const name = board.name || board.event;
    setText(elements.name, name);
    const formal = board.formal_name && board.formal_name !== name ? board.formal_name : '';
    setText(elements.formal, formal);
    setText(elements.teams, plural(board.total_rows, 'team', 'teams'));
    const freeze = freezeText(board);
    elements.banner.hidden = freeze === null;
    setText(elements.bannerText, freeze ?? '');
    this.#draw();
  }

  /** `connecting`, `live` or `reconnecting`. */
  status(status) {
    this.#status = status;
    if (status === 'live') this.#lostAt = null;
    else this.#lostAt ??= Date.now();
    this.#freshness();
  }

  // Ticks when the server's second turns, so that all screens in a hall agree.
  #tick() {
    this.#draw();
    this.#freshness();
    setTimeout(() => this.#tick(), 1000 - (((this.clock.now() % 1000) + 1000) % 1000) + 5);
  }

  #draw() {
    if (!this.#board) return;
    const { elements } = this;
    const phase = eventPhase(this.#board, this.clock.now());
    elements.state.dataset.phase = phase.phase;
    setText(elements.stateText, phase.label);
    setText(elements.clock, phase.clock);
    setText(elements.clockLabel, phase.clock ? phase.clockLabel : '');
    const bar = elements.progress.style;
    bar.setProperty('--elapsed', String(phase.elapsed ?? 0));
    bar.setProperty('--freeze-from', String(phase.freezeFrom ?? 1));
  }

  #freshness() {
    const { connection, connectionText } = this.elements;
    const lost = this.#lostAt === null ? 0 : Date.now() - this.#lostAt;
    let state = 'live';
    let text = 'Live';
    if (this.#status !== 'live' && (this.#board === null || lost >= GRACE_MS)) {
      state = this.#board === null && lost < STALE_MS ? 'connecting' : 'reconnecting';
      text = state === 'connecting' ? 'Connecting' : 'Reconnecting';
      if (lost >= STALE_MS) {
        state = 'stale';
        const since = new Date(this.#lostAt).toLocaleTimeString('en-GB');
        text = this.#board === null ? 'No connection' : `Stale since ${since}`;
      }
    }
    connection.dataset.state = state;
    setText(connectionText, text);
    const said = state === 'stale' ? 'stale' : state === 'live' ? 'live' : this.#said;
    if (said !== this.#said) {
      this.#said = said;
      this.onFreshness(said === 'live' ? 'The board is live again.' : 'Connection lost. The board may be out of date.');
    }
  }
}
