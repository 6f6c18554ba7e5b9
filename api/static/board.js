// The board page: brings stream, windows, table, panel and search together. Each of these has its own file.
import { Announcer } from './announce.js';
import { ServerClock } from './clock.js';
import { make, setText } from './dom.js';
import { Header } from './header.js';
import { boardUrl, getJson } from './http.js';
import { shortcuts } from './keys.js';
import { Names } from './names.js';
import { changeText, PinnedPanel } from './pinned.js';
import { recall, remember } from './prefs.js';
import { SearchBox } from './search-box.js';
import { SearchIndex } from './search-index.js';
import { applyDelta, FrameError, fromSnapshot } from './state.js';
import { BoardStream } from './stream.js';
import { Table } from './table.js';
import { themeToggle } from './theme-toggle.js';
import { Windows } from './windows.js';

const LIVE_ROWS = 100;
const YOU_WAIT_MS = 4000;
const PROBE_MS = 90_000;
const PROBE_GRACE_MS = 5000;

const byId = (id) => document.getElementById(id);

const event = decodeURIComponent(location.pathname.replace(/\/+$/, '').split('/').at(-1) ?? '');
const asked = new URLSearchParams(location.search);
let division = asked.get('division') ?? '';
let pinned = asked.get('team') || recall(`pin.${event}`);

let live = null; // the state of state.js
let you = null; // the newest answer about the pinned team
let youTimer = null;
let lastFrameAt = performance.now();

const clock = new ServerClock();
const announcer = new Announcer(byId('announcer'));

const header = new Header(
  {
    name: byId('event-name'),
    formal: byId('event-formal'),
    teams: byId('team-count'),
    state: byId('state'),
    stateText: byId('state-text'),
    clock: byId('clock'),
    clockLabel: byId('clock-label'),
    progress: byId('progress'),
    banner: byId('freeze'),
    bannerText: byId('freeze-text'),
    connection: byId('connection'),
    connectionText: byId('connection-text'),
  },
  clock,
  (text) => announcer.say(text),
);

const fetchRows = (part) => ({ from, limit, at, signal }) => getJson(boardUrl(event, part, { division, from, limit, at }), { signal });
const fetchPage = fetchRows('');

const windows = new Windows({ fetchPage, onRows: () => table.update(), busy: () => table.scrolling });

const table = new Table({
  scroller: byId('scroller'),
  grid: byId('grid'),
  model: {
    get board() {
      return live;
    },
    get total() {
      return live?.total_rows ?? 0;
    },
    get pinned() {
      return pinned;
    },
    rowAt: (index) => live?.rows[index] ?? windows.row(index),
  },
  onRange: (first, last) => {
    const below = live?.rows.length ?? 0;
    if (last < below) windows.want(null, null);
    else windows.want(Math.max(first, below), last);
  },
  onPin: (team) => pin(team === pinned ? null : team),
});

const panel = new PinnedPanel(
  {
    panel: byId('pinned'),
    rows: byId('pinned-rows'),
    text: byId('pinned-text'),
    toggle: byId('pinned-toggle'),
    jump: byId('pinned-jump'),
    unpin: byId('pinned-unpin'),
  },
  { onJump: () => jumpToMine(), onUnpin: () => pin(null) },
);

const index = new SearchIndex();
const names = new Names({ index, fetchNames: fetchRows('/names'), onProgress: (progress) => search.progress(progress) });
const search = new SearchBox(
  { input: byId('search'), popup: byId('matches'), list: byId('match-list'), note: byId('match-note') },
  {
    index,
    onUse: () => {
      if (!live) return;
      live.rows.forEach((row, i) => index.add(row, i));
      for (const [i, row] of windows.entries()) index.add(row, i);
      names.load(live.total_rows);
    },
    onChoose: (match) => jumpTo(match.team, match.index),
  },
);

const stream = new BoardStream(() => boardUrl(event, '/stream', { division, limit: LIVE_ROWS, team: pinned }), {
  snapshot: (data) => {
    lastFrameAt = performance.now();
    const known = live;
    const next = fromSnapshot(data, LIVE_ROWS);
    // A version that has gone back is another history (restored server): windows see to that themselves.
    live = keepSame(known, next);
    windows.moveTo(live.version);
    shown();
    expectYou();
  },
  delta: (data) => {
    lastFrameAt = performance.now();
    if (live === null) throw new FrameError('a delta before any snapshot');
    live = applyDelta(live, data);
    windows.moveTo(live.version);
    shown();
  },
  you: (data) => {
    lastFrameAt = performance.now();
    if (data?.row === null) notOnBoard();
    else if (typeof data?.row?.team !== 'string') throw new FrameError('an answer about a team without a row');
    else if (data.row.team === pinned) showYou(data);
  },
  status: (status) => header.status(status),
});

// Rows that a snapshot brings again unchanged keep their identity: nothing flashes after a reconnect.
function keepSame(known, next) {
  if (!known) return next;
  const old = new Map(known.rows.map((row) => [row.team, row]));
  const rows = next.rows.map((row) => {
    const before = old.get(row.team);
    return before && JSON.stringify(before) === JSON.stringify(row) ? before : row;
  });
  return { ...next, rows };
}

function shown() {
  header.show(live);
  showDivisions();
  table.update();
  byId('notice').hidden = live.total_rows > 0;
  setText(byId('notice-text'), live.total_rows > 0 ? '' : 'No teams on this board yet.');
  // The table lays its columns out at the next frame; the panel takes them over after that.
  requestAnimationFrame(() => {
    if (you && !byId('pinned').hidden) panel.layout(table.columns);
  });
  title();
}

function title() {
  const name = live?.name || event;
  const rank = you?.row.rank;
  document.title = Number.isFinite(rank) ? `#${rank} · ${name}` : `${name} · board`;
}

// --- divisions -------------------------------------------------------------------------------------------------

const select = byId('division');

function showDivisions() {
  const wanted = [['', 'All teams'], ...live.divisions.map((d) => [d.division, d.name || d.division])];
  const key = JSON.stringify(wanted);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...wanted.map(([value, text]) => make('option', { value }, text)));
  }
  byId('division-field').hidden = wanted.length < 2;
  if (document.activeElement !== select || select.value !== division) select.value = division;
}

select.addEventListener('change', () => changeDivision(select.value));

function changeDivision(next) {
  if (next === division) return;
  division = next;
  keepInUrl();
  windows.clear();
  names.clear();
  live = live && { ...live, rows: [], total_rows: 0, version: -1 };
  you = null;
  table.reset();
  stream.open();
}

function keepInUrl() {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of [['division', division], ['team', pinned ?? '']]) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const text = query.toString();
  history.replaceState(null, '', `${location.pathname}${text ? `?${text}` : ''}${location.hash}`);
}

// --- my team ---------------------------------------------------------------------------------------------------

function pin(team) {
  pinned = team;
  you = null;
  remember(`pin.${event}`, team);
  keepInUrl();
  table.update();
  if (team === null) {
    clearTimeout(youTimer);
    panel.hide();
    announcer.say('Team no longer pinned.');
  } else {
    panel.message('Looking your team up …');
  }
  title();
  stream.open();
}

function showYou(answer) {
  clearTimeout(youTimer);
  const change = changeText(you, answer);
  if (change) announcer.say(change);
  you = answer;
  const draw = () => panel.show(answer, table.columns);
  if (table.columns) draw();
  else requestAnimationFrame(draw);
  title();
}

function notOnBoard() {
  if (pinned === null) return;
  clearTimeout(youTimer);
  you = null;
  panel.message(division ? `Your team (${pinned}) is not in this division.` : `Team ${pinned} is not on this board.`);
  title();
}

// A proxy may hold frames back, and a server may say nothing about a team that it does not know: ask once.
function expectYou() {
  clearTimeout(youTimer);
  if (pinned === null || you !== null) return;
  if (byId('pinned').hidden) panel.message('Looking your team up …');
  youTimer = setTimeout(async () => {
    const team = pinned;
    try {
      const answer = await getJson(boardUrl(event, `/teams/${encodeURIComponent(team)}`, { division }));
      if (team === pinned && you === null) showYou(answer);
    } catch (error) {
      if (team === pinned && you === null && error.status === 404) notOnBoard();
    }
  }, YOU_WAIT_MS);
}

function jumpToMine() {
  if (pinned === null) {
    announcer.say('No team is pinned. Press Enter on a row, or its bookmark, to pin it.');
    return;
  }
  jumpTo(pinned, you?.position);
}

async function jumpTo(team, lastKnown) {
  const inTop = live?.rows.findIndex((row) => row.team === team) ?? -1;
  if (inTop >= 0) {
    table.seek(team, inTop);
    return;
  }
  const wanted = division;
  let place = lastKnown;
  try {
    place = (await getJson(boardUrl(event, `/teams/${encodeURIComponent(team)}`, { division }))).position;
  } catch {
    // The last known place is near enough to look around.
  }
  if (Number.isSafeInteger(place) && wanted === division) table.seek(team, place);
}

// --- the rest of the page --------------------------------------------------------------------------------------

const help = byId('help');
byId('help-button').addEventListener('click', () => help.showModal());
help.addEventListener('click', (click) => {
  if (click.target === help) help.close();
});

themeToggle(byId('theme'));
shortcuts(
  {
    '/': () => byId('search').focus(),
    d: () => select.focus(),
    m: jumpToMine,
    '?': () => help.showModal(),
  },
  byId('keys-on'),
);

byId('scroller').addEventListener(
  'scroll',
  () => {
    byId('pinned-rows').scrollLeft = byId('scroller').scrollLeft;
  },
  { passive: true },
);

// Heartbeats do not reach a page, so a connection that died silently looks like a quiet contest. After a long silence,
// and when the page comes back from sleep, the version is compared with the server's.
async function probe() {
  let page;
  try {
    page = await getJson(boardUrl(event, '', { division, limit: 1 }), { clock, fresh: true });
  } catch {
    return;
  }
  if (live === null || page.version === live.version) return;
  setTimeout(() => {
    if (live !== null && page.version !== live.version && performance.now() - lastFrameAt > PROBE_GRACE_MS) stream.resync();
  }, PROBE_GRACE_MS);
}

setInterval(() => {
  if (!document.hidden && performance.now() - lastFrameAt > PROBE_MS * (0.8 + Math.random() * 0.4)) {
    lastFrameAt = performance.now();
    probe();
  }
}, 10_000);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && performance.now() - lastFrameAt > PROBE_GRACE_MS * 3) probe();
});
addEventListener('online', () => stream.open());

// The first answer tells what a stream cannot: whether there is such an event, and what time it is at the server.
async function begin() {
  try {
    const page = await getJson(boardUrl(event, '', { division, limit: 1 }), { clock, fresh: true });
    if (live === null) header.show({ state: {}, ...page });
  } catch (error) {
    if (error.status === 404 && division !== '') {
      division = '';
      keepInUrl();
      await begin();
      return;
    }
    if (error.status >= 400 && error.status < 500 && error.status !== 429) {
      stream.close();
      document.body.dataset.missing = 'true';
      setText(byId('event-name'), event);
      byId('notice').hidden = false;
      setText(byId('notice-text'), error.status === 404 ? `There is no event “${event}” here.` : error.message);
      return;
    }
  }
  stream.open();
}

if (pinned !== null) {
  remember(`pin.${event}`, pinned);
  keepInUrl();
}
begin();
