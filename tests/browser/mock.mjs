// A server with a made-up contest, for working on the page and for its tests: the pages, the assets, the board API and
// its stream, and /mock/... to make things happen.
//   node mock.mjs [--port 8090] [--teams 25000] [--problems 12] [--every 1000 (ms between steps; 0: none)] [--seed 1]
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { delta, MockBoard } from './mock-board.mjs';

const STATIC = fileURLToPath(new URL('../../api/static/', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml' };

export class MockServer {
  constructor(options = {}) {
    this.board = new MockBoard(options);
    this.subscribers = new Set();
    this.requests = []; // {path, query} of every API request, for assertions
    this.failing = null; // {status, left}: the next answers of the board API
    this.server = createServer((request, response) => this.#answer(request, response));
    this.server.keepAliveTimeout = 500;
  }

  async listen(port = 0) {
    await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this.url;
  }

  async close() {
    this.drop();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Ends all streams, as a restart does. */
  drop() {
    for (const subscriber of this.subscribers) subscriber.response.destroy();
    this.subscribers.clear();
  }

  /** Stops listening and ends all connections; `listen` on the same port brings it back. */
  async stop() {
    const { port } = this.server.address();
    await this.close();
    return port;
  }

  /** Makes something happen, then tells the streams. */
  act(name, ...parameters) {
    this.board[name](...parameters);
    this.tell();
  }

  tell() {
    for (const subscriber of this.subscribers) this.#tell(subscriber);
  }

  /** Sends a frame as it is to all streams. */
  raw(text) {
    for (const { response } of this.subscribers) response.write(text);
  }

  #answer(request, response) {
    const url = new URL(request.url, 'http://mock');
    const query = Object.fromEntries(url.searchParams);
    response.setHeader('content-security-policy', "default-src 'self'");
    const path = url.pathname;
    if (path === '/') return this.#file(response, 'index.html');
    if (/^\/events\/[^/]+\/?$/.test(path)) return this.#file(response, 'board.html');
    if (path.startsWith('/assets/')) return this.#file(response, basename(path));
    if (path.startsWith('/mock/')) return this.#control(response, path.slice(6), query);
    this.requests.push({ path, query });
    if (path === '/api/v1/events') {
      const page = this.board.page('', 0, 0);
      return json(response, 200, { events: [{ event: page.event, name: page.name, view: 'public', version: page.version, frozen: page.frozen, ...page.state }] });
    }
    const found = /^\/api\/v1\/events\/([^/]+)\/board(\/.*)?$/.exec(path);
    if (!found || decodeURIComponent(found[1]) !== this.board.event) return problem(response, 404, 'Unknown event');
    if (this.failing && this.failing.left > 0) {
      this.failing.left -= 1;
      return problem(response, this.failing.status, 'Made to fail');
    }
    const division = query.division ?? '';
    if (division !== '' && !this.board.divisions.some((d) => d.division === division)) return problem(response, 404, 'Unknown division');
    if (found[2] === '/stream') return this.#stream(request, response, query, division);
    const team = /^\/teams\/(.+)$/.exec(found[2] ?? '');
    if (team) {
      const answer = this.board.team(division, decodeURIComponent(team[1]));
      return answer ? json(response, 200, answer) : problem(response, 404, 'Unknown team');
    }
    const at = query.at === undefined ? undefined : Number(query.at);
    const from = Number(query.from ?? 0);
    if (found[2] === '/names') {
      const names = this.board.names(division, from, Math.min(5000, Number(query.limit ?? 5000)), at);
      const answer = () => (names ? json(response, 200, names) : problem(response, 410, 'Version no longer kept'));
      // A test that looks at what is shown meanwhile holds the parts after the first back.
      if (from > 0 && this.namesHeld) return void this.namesHeld.then(answer);
      return answer();
    }
    const page = this.board.page(division, from, Math.min(1000, Number(query.limit ?? 100)), at);
    return page ? json(response, 200, { ...page, next_cursor: null }) : problem(response, 410, 'Version no longer kept');
  }

  #stream(request, response, query, division) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    response.write('retry: 1000\n\n');
    const limit = Number(query.limit ?? 100);
    const last = request.headers['last-event-id'];
    const shown = last === undefined ? null : this.board.page(division, 0, limit, Number(last));
    const subscriber = { response, division, limit, team: query.team, shown, told: null };
    this.subscribers.add(subscriber);
    request.on('close', () => this.subscribers.delete(subscriber));
    this.#tell(subscriber);
  }

  #tell(subscriber) {
    const { response, division, limit, team, shown } = subscriber;
    const page = this.board.page(division, 0, limit);
    const send = (event, data) => response.write(`id: ${page.version}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    if (shown === null || shown.version > page.version) send('snapshot', page);
    else if (shown.version !== page.version) send('delta', delta(shown, page));
    subscriber.shown = page;
    if (team === undefined) return;
    const answer = this.board.team(division, team) ?? { event: this.board.event, view: 'public', division, version: page.version, row: null, position: null, above: [], below: [] };
    const key = JSON.stringify({ ...answer, version: 0 });
    if (key !== subscriber.told) send('you', answer);
    subscriber.told = key;
  }

  #control(response, action, query) {
    const n = Number(query.n ?? 1);
    const actions = {
      step: () => this.act('step', n, query.among ? Number(query.among) : undefined),
      solve: () => this.act('solve', query.team, query.all === 'true'),
      freeze: () => this.act('freeze', true),
      thaw: () => this.act('freeze', false),
      restart: () => {
        this.board.goBack();
        this.drop();
      },
      drop: () => this.drop(),
    };
    if (!actions[action]) return problem(response, 404, `No action ${action}: ${Object.keys(actions).join(', ')}`);
    actions[action]();
    return json(response, 200, { version: this.board.version });
  }

  #file(response, name) {
    const path = join(STATIC, name);
    if (!TYPES[extname(name)] || !existsSync(path)) return problem(response, 404, 'No such file');
    response.writeHead(200, { 'content-type': TYPES[extname(name)], 'cache-control': 'no-cache' });
    createReadStream(path).pipe(response);
    return undefined;
  }
}

function json(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-cache' });
  response.end(JSON.stringify(body));
}

function problem(response, status, title) {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', title, status, code: 'mock' }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = { type: 'string' };
  const { values } = parseArgs({ options: { port: text, teams: text, problems: text, every: text, seed: text } });
  const mock = new MockServer({ teams: Number(values.teams ?? 25_000), problems: Number(values.problems ?? 12), seed: Number(values.seed ?? 1) });
  console.log(`${await mock.listen(Number(values.port ?? 8090))}/events/${mock.board.event}`);
  const every = Number(values.every ?? 1000);
  if (every > 0) setInterval(() => mock.act('step', 3 + Math.floor(mock.board.teams.length / 2000), 600), every);
}
