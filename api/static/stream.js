// The board's event stream: opens it, parses frames, comes back after losses, and says how it stands.
// The browser's EventSource reconnects by itself with Last-Event-ID; this adds what it lacks: coming back after an HTTP
// error, back-off with jitter (25,000 pages lose the server at once), and dropping a stream that talks nonsense.

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;

export class BoardStream {
  #source = null;
  #timer = null;
  #failures = 0;
  #generation = 0;

  /**
   * `url()` gives the address to open. `on` = {snapshot, delta, you, status}; status is 'connecting', 'live' or
   * 'reconnecting'. A handler that throws has been given a frame that cannot be applied: the stream starts afresh.
   */
  constructor(url, on, { EventSourceClass = globalThis.EventSource, later = (f, ms) => setTimeout(f, ms), cancel = (timer) => clearTimeout(timer), random = Math.random } = {}) {
    this.url = url;
    this.on = on;
    this.EventSourceClass = EventSourceClass;
    this.later = later;
    this.cancel = cancel;
    this.random = random;
  }

  /** Opens the stream, or opens it again from a snapshot (a new EventSource sends no Last-Event-ID). */
  open() {
    this.close();
    this.on.status(this.#failures === 0 ? 'connecting' : 'reconnecting');
    const generation = ++this.#generation;
    const source = new this.EventSourceClass(this.url());
    this.#source = source;
    for (const kind of ['snapshot', 'delta', 'you']) {
      source.addEventListener(kind, (frame) => {
        if (generation === this.#generation) this.#take(kind, frame.data);
      });
    }
    source.addEventListener('open', () => {
      if (generation === this.#generation) this.on.status('live');
    });
    source.addEventListener('error', () => {
      if (generation !== this.#generation) return;
      this.on.status('reconnecting');
      // CLOSED: the browser has given up (an HTTP error, another content type).
      if (source.readyState === 2) this.#retry();
    });
  }

  /** Drops the stream and opens it again after a back-off. */
  resync() {
    this.close();
    this.on.status('reconnecting');
    this.#retry();
  }

  close() {
    this.#generation += 1;
    this.#source?.close();
    this.#source = null;
    if (this.#timer !== null) this.cancel(this.#timer);
    this.#timer = null;
  }

  #retry() {
    if (this.#timer !== null) return;
    const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = this.later(() => {
      this.#timer = null;
      this.open();
    }, ceiling * (0.5 + this.random() / 2));
  }

  #take(kind, text) {
    try {
      this.on[kind](JSON.parse(text));
    } catch (error) {
      // A bad `you` frame is made good by the next one; the board itself is not in doubt.
      if (kind === 'you') return;
      // Not applicable or not JSON: what is shown stays, and a fresh snapshot is asked for.
      console.info(`board stream: ${error.message}; asking for a fresh snapshot`);
      this.resync();
      return;
    }
    // A snapshot alone proves little: the nonsense may follow on it. A delta that fitted proves that all is well.
    if (kind === 'delta') this.#failures = 0;
    this.on.status('live');
  }
}
