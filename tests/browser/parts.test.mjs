// The pure and the injectable parts of the page: format, clock, search, stream, windows, names, announcer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Announcer } from '../../api/static/announce.js';
import { ServerClock } from '../../api/static/clock.js';
import * as format from '../../api/static/format.js';
import { Names } from '../../api/static/names.js';
import { changeText, standing } from '../../api/static/pinned.js';
import { columnsOf } from '../../api/static/rows.js';
import { fold, SearchIndex } from '../../api/static/search-index.js';
import { BoardStream } from '../../api/static/stream.js';
import { Windows } from '../../api/static/windows.js';
import { MockBoard } from './mock-board.mjs';

/** Time that passes when it is told to. */
class Time {
  now = 0;
  #next = [];
  later = (run, ms) => {
    const timer = { at: this.now + ms, run };
    this.#next.push(timer);
    return timer;
  };
  cancel = (timer) => {
    this.#next = this.#next.filter((one) => one !== timer);
  };
  async pass(ms) {
    const end = this.now + ms;
    for (;;) {
      await settled();
      this.#next.sort((a, b) => a.at - b.at);
      if (!this.#next.length || this.#next[0].at > end) break;
      const timer = this.#next.shift();
      this.now = Math.max(this.now, timer.at);
      timer.run();
    }
    this.now = end;
    await settled();
  }
}

// Lets promises that wait for nothing but each other run to their end.
async function settled() {
  for (let i = 0; i < 8; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('times and counts', () => {
  assert.equal(format.contestTime(14_400_000), '4:00:00');
  assert.equal(format.contestTime(-5), '0:00:00');
  assert.equal(format.countdown(61_001), '0:01:02');
  assert.equal(format.countdown(90_000_000), '1 d 1:00:00');
  assert.deepEqual([1, 2, 3, 4, 11, 12, 13, 21, 22, 111, 1003].map(format.ordinal), ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '22nd', '111th', '1,003rd']);
  assert.equal(format.count(25_000), '25,000');
});

test('cells say in words what they show', () => {
  const label = (cell) => format.cellLabel(cell, 'A');
  assert.equal(label({ solved: true, time: 35, attempts: 2, pending: 0, first: true }), 'A: solved at 35 minutes after 2 tries, first to solve');
  assert.equal(label({ solved: true, time: 1, attempts: 1, pending: 0 }), 'A: solved at 1 minute after 1 try');
  assert.equal(label({ solved: false, attempts: 3, pending: 0 }), 'A: not solved after 3 tries');
  assert.equal(label({ solved: false, attempts: 0, pending: 1 }), 'A: 1 submission pending');
  assert.equal(label({ solved: false, attempts: 2, pending: 2 }), 'A: 2 submissions pending, after 2 rejected tries');
  assert.equal(label(undefined), 'A: not tried');
  assert.equal(label({ score: 40, attempts: 1 , solved: true }), 'A: solved for 40 points after 1 try');
  assert.deepEqual(format.cellText({ solved: true, time: 0, attempts: 1 }), { main: '0', sub: '' });
  assert.deepEqual(format.cellText({ solved: false, attempts: 2, pending: 1 }), { main: '?1', sub: 'after 2' });
});

test('boards of points show points, dimensions and what a challenge is worth', () => {
  const rubric = { byTime: false, unit: 1_000_000 };
  assert.equal(format.points(87_650_000, rubric), '87.65');
  assert.deepEqual(format.cellText({ score: 45_030_000, attempts: 3, pending: 1 }, rubric), { main: '45.03', sub: '?1' });
  assert.equal(format.cellKind({ score: 0, attempts: 1, pending: 0 }, rubric), 'tried');
  assert.equal(format.cellKind({ attempts: 0, pending: 2 }, rubric), 'pending');
  const ctf = { byTime: false, unit: 1 };
  assert.deepEqual(format.cellText({ score: 363, solved: true, time: 90, attempts: 1, pending: 0 }, ctf), { main: '363', sub: '' });
  assert.equal(format.cellLabel({ score: 363, solved: true, first: true, pending: 0 }, 'A', ctf), 'A: 363 points, first to solve');
  assert.equal(format.gap({ score: 90_000_000 }, { score: 91_500_000 }, 'points', rubric), '1.50 points');
  assert.equal(format.gap({ score: 5, penalty: 9 }, { score: 5, penalty: 1 }, 'points', ctf), 'level');

  const rubricBoard = {
    scoring: 'rubric', penalty_min: 20, problems: [{ problem: 'p', label: 'A' }],
    rubric: { dimensions: [{ dimension: 'correctness' }, { dimension: 'security' }] },
  };
  const columns = columnsOf(rubricBoard);
  assert.deepEqual(columns.problems.map((c) => c.label), ['correctness', 'security', 'A']);
  assert.equal(columnsOf({ ...rubricBoard }, columns), columns);
  assert.equal(columns.byTime, false);
  assert.equal(columnsOf({ problems: [], penalty_min: 20 }).byTime, true);
});

test('only colours get into a style', () => {
  assert.equal(format.safeColour('#a0B'), '#a0B');
  assert.equal(format.safeColour('#800080'), '#800080');
  for (const bad of ['red', '#12', '#1234567', 'url(x)', '#fff;x:y', null, 7]) assert.equal(format.safeColour(bad), null);
});

test('phases of an event', () => {
  const start = Date.parse('2025-03-01T10:00:00Z');
  const state = { start_at: '2025-03-01T10:00:00Z', started_at: null, duration_ms: 18_000_000, freeze_ms: 14_400_000 };
  const started = { ...state, started_at: state.start_at };
  const phase = (board, at) => format.eventPhase(board, start + at);
  assert.equal(phase({ state }, -60_000).clock, '0:01:00');
  assert.equal(phase({ state }, -60_000).label, 'Starts in');
  assert.equal(phase({ state }, 5).label, 'Starts soon');
  assert.equal(phase({ state: {} }, 0).label, 'Not started');
  assert.deepEqual(phase({ state: started }, 9_000_000), { phase: 'running', label: 'Running', clock: '2:30:00', clockLabel: 'of 5:00:00', elapsed: 0.5, freezeFrom: 0.8 });
  assert.equal(phase({ state: started, frozen: true }, 15_000_000).phase, 'frozen');
  assert.equal(phase({ state: started, frozen: true }, 19_000_000).phase, 'over');
  const replay = phase({ state: started, rows: [{ last_scored_at_ms: start + 3_600_000 }, { last_scored_at_ms: 0 }, { last_scored_at_ms: start + 1 }] }, 1e10);
  assert.deepEqual([replay.phase, replay.clock, replay.clockLabel, replay.elapsed], ['running', '1:00:00', 'at the last solve', 0.2]);
  assert.equal(phase({ state: started, rows: [] }, 1e10).phase, 'over');
  assert.equal(phase({ state: { ...started, ended_at: '2025-03-01T15:00:00Z' } }, 1e9).phase, 'ended');
  assert.equal(phase({ state: { ...started, ended_at: '2025-03-01T15:00:00Z', finalized_at: '2025-03-01T16:00:00Z' } }, 1e9).phase, 'final');
  assert.equal(format.freezeText({ state: started, frozen: true }), 'Frozen since 4:00:00: results of later submissions are shown as pending');
  assert.equal(format.freezeText({ state: { started_at: '2025-03-01T10:00:00Z', frozen_at: '2025-03-01T13:30:00Z' }, frozen: true }), 'Frozen since 3:30:00: results of later submissions are shown as pending');
  assert.equal(format.freezeText({ state: started, frozen: false }), null);
});

test('the server clock is found to within the bounds of the answers', () => {
  let local = 1_000_000;
  const clock = new ServerClock(() => local);
  const ahead = 37_400;
  assert.equal(clock.offsetMs, 0);
  for (let i = 0; i < 40; i += 1) {
    local += 1370;
    const header = new Date(Math.floor((local + ahead) / 1000) * 1000).toUTCString();
    clock.observe(header, local, local);
  }
  assert.ok(Math.abs(clock.offsetMs - ahead) <= 60, `${clock.offsetMs}`);
  clock.observe('nonsense', local, local);
  clock.observe(null, local, local);
  assert.ok(Math.abs(clock.offsetMs - ahead) <= 60);
  // The server's clock was set back by a minute: the newest answer is believed.
  clock.observe(new Date(local - 60_000).toUTCString(), local, local);
  assert.ok(Math.abs(clock.offsetMs + 60_000) <= 1000);
});

test('search folds accents, and puts ids and beginnings first', () => {
  assert.equal(fold('  Łódź  Ångström '), 'lodz angstrom');
  const index = new SearchIndex();
  const names = [['1', 'Old Otters', 'Łódź'], ['22', 'Otters of Lodz', 'Gent'], ['3', 'Otterly', undefined], ['otters', 'Zebras', 'Gent'], ['5', 'Potters', 'Gent']];
  names.forEach(([team, name, organization], i) => index.add({ team, name, organization }, i));
  assert.deepEqual(index.find('otter').map((t) => t.team), ['22', '3', '1', 'otters', '5']);
  assert.deepEqual(index.find('OTTERS').map((t) => t.team), ['otters', '22', '1', '5']);
  assert.deepEqual(index.find('lodz otters').map((t) => t.team), ['1', '22']);
  assert.deepEqual(index.find('22').map((t) => t.team), ['22']);
  assert.deepEqual(index.find('   '), []);
  assert.equal(index.find('o', 2).length, 2);
  index.add({ team: '3', name: 'Renamed' }, 9);
  assert.deepEqual(index.find('renamed').map((t) => t.index), [9]);
  assert.equal(index.size, 5);
});

test('names are read part by part at one version, and go on at the newest after a 410', async () => {
  const board = new MockBoard({ teams: 12_500, problems: 3 });
  const asked = [];
  const index = new SearchIndex();
  const progress = [];
  const fetchNames = async ({ from, limit, at }) => {
    asked.push([from, at]);
    if (asked.length === 2) {
      board.step(1);
      board.expire();
    }
    const page = board.names('', from, limit, at);
    if (!page) throw Object.assign(new Error('gone'), { status: 410 });
    return page;
  };
  const names = new Names({ index, fetchNames, onProgress: (p) => progress.push(p) });
  await names.load(12_500);
  assert.deepEqual(asked, [[0, undefined], [5000, 1], [5000, undefined], [10_000, 2]]);
  assert.equal(index.size, 12_500);
  assert.deepEqual(progress.at(-1), { loaded: 12_500, total: 12_500, done: true });
  await names.load(12_500);
  assert.equal(asked.length, 4, 'read once');
  names.clear();
  await names.load(40_000);
  assert.equal(progress.at(-1).partial, true);
  assert.equal(asked.length, 4, 'a board too large is not read');
});

class FakeSource {
  static made = [];
  listeners = {};
  readyState = 0;
  constructor(url) {
    this.url = url;
    FakeSource.made.push(this);
  }
  addEventListener(kind, run) {
    this.listeners[kind] = run;
  }
  emit(kind, data) {
    this.listeners[kind]({ data });
  }
  close() {
    this.readyState = 2;
  }
}

function stream(on = {}) {
  FakeSource.made = [];
  const time = new Time();
  const got = [];
  const handlers = { snapshot: (d) => got.push(['snapshot', d]), delta: (d) => got.push(['delta', d]), you: (d) => got.push(['you', d]), status: (s) => got.push(['status', s]), ...on };
  const board = new BoardStream(() => '/s', handlers, { EventSourceClass: FakeSource, later: time.later, cancel: time.cancel, random: () => 1 });
  board.open();
  return { board, time, got, sources: FakeSource.made };
}

test('a frame that is not JSON or cannot be applied brings a fresh stream, with growing back-off', async () => {
  const { time, sources } = stream({ delta: () => { throw new Error('does not follow'); } });
  sources[0].emit('snapshot', '{"version":1}');
  sources[0].emit('delta', '{nonsense');
  assert.equal(sources[0].readyState, 2);
  await time.pass(1000);
  assert.equal(sources.length, 2);
  sources[1].emit('delta', '{"version":2}');
  await time.pass(1999);
  assert.equal(sources.length, 2);
  await time.pass(1);
  assert.equal(sources.length, 3);
  sources[0].emit('snapshot', '{}'); // late frames of an old stream are nobody's
});

test('an HTTP error is retried; a lost connection is left to the browser; a bad `you` is skipped', async () => {
  const { time, got, sources } = stream();
  sources[0].emit('open');
  sources[0].emit('error'); // readyState CONNECTING: the browser reconnects, with Last-Event-ID
  await time.pass(60_000);
  assert.equal(sources.length, 1);
  assert.deepEqual(got.at(-1), ['status', 'reconnecting']);
  sources[0].emit('you', 'nonsense');
  assert.equal(sources[0].readyState, 0);
  sources[0].readyState = 2;
  sources[0].emit('error');
  await time.pass(1000);
  assert.equal(sources.length, 2);
});

test('after close nothing comes back', async () => {
  const { board, time, got, sources } = stream();
  sources[0].readyState = 2;
  sources[0].emit('error');
  board.close();
  const seen = got.length;
  await time.pass(60_000);
  sources[0].emit('snapshot', '{}');
  assert.equal(sources.length, 1);
  assert.equal(got.length, seen);
});

function windowed({ teams = 2000, random = () => 0 } = {}) {
  const board = new MockBoard({ teams, problems: 12 });
  const time = new Time();
  const asked = [];
  const state = { busy: false, fail: 0, drawn: 0 };
  const fetchPage = async ({ from, limit, at, signal }) => {
    asked.push({ from, at, time: time.now, signal });
    await new Promise((resolve) => setImmediate(resolve));
    if (state.fail > 0) {
      state.fail -= 1;
      throw Object.assign(new Error('unavailable'), { status: 503 });
    }
    const page = board.names('', from, limit, at);
    if (!page) throw Object.assign(new Error('gone'), { status: 410 });
    return page;
  };
  const windows = new Windows({ fetchPage, onRows: () => { state.drawn += 1; }, busy: () => state.busy, now: () => time.now, later: time.later, cancel: time.cancel, random });
  windows.moveTo(board.version);
  return { board, time, asked, state, windows, team: (i) => windows.row(i)?.team, truth: (i) => board.page('', i, 1).rows[0].team };
}

test('windows in sight are fetched once, pinned to the version', async () => {
  const { time, asked, windows, team, truth } = windowed();
  windows.want(350, 450);
  await time.pass(100);
  assert.deepEqual(asked.map(({ from, at }) => [from, at]), [[200, 1], [400, 1]]);
  assert.equal(team(399), truth(399));
  assert.equal(team(400), truth(400));
  assert.equal(team(600), undefined);
  windows.want(360, 460);
  await time.pass(10_000);
  assert.equal(asked.length, 2);
});

test('a moving version refetches what is in sight at most every two seconds, and all of it in one go', async () => {
  const { board, time, asked, windows, team, truth } = windowed();
  windows.want(350, 450);
  await time.pass(100);
  for (let i = 0; i < 100; i += 1) {
    board.step(3);
    windows.moveTo(board.version);
    await time.pass(100);
  }
  const rounds = new Set(asked.map(({ time: at }) => at));
  assert.ok(rounds.size >= 5 && rounds.size <= 6, `${rounds.size} rounds in ten seconds`);
  assert.equal(asked.length, 2 * rounds.size);
  await time.pass(3000);
  for (const i of [350, 399, 400, 450]) assert.equal(team(i), truth(i));
});

test('old rows stay until the new ones are there, and while the reader scrolls', async () => {
  const { board, time, asked, state, windows, team } = windowed();
  windows.want(350, 360);
  await time.pass(100);
  const before = team(350);
  board.solve(board.page('', 350, 1).rows[0].team, true);
  windows.moveTo(board.version);
  state.busy = true;
  await time.pass(5000);
  assert.equal(team(350), before);
  const { length } = asked;
  state.busy = false;
  await time.pass(3000);
  assert.ok(asked.length > length);
  assert.notEqual(team(350), before);
});

test('a 410 is answered by the newest version', async () => {
  const { board, time, asked, windows, team, truth } = windowed();
  board.step(5);
  board.expire();
  windows.want(350, 450);
  await time.pass(100);
  assert.deepEqual(asked.map(({ from, at }) => [from, at]), [[200, 1], [400, 1], [200, undefined], [400, 2]]);
  assert.equal(team(350), truth(350));
  assert.equal(team(410), truth(410));
});

test('errors are retried with back-off; a version that goes back forgets all rows', async () => {
  const { board, time, asked, state, windows, team, truth } = windowed();
  state.fail = 3;
  windows.want(350, 360);
  await time.pass(20_000);
  assert.equal(asked.length, 4);
  const gaps = asked.slice(1).map(({ time: at }, i) => at - asked[i].time);
  assert.ok(gaps[1] > gaps[0] && gaps[2] > gaps[1], String(gaps));
  assert.equal(team(350), truth(350));
  board.step(1);
  windows.moveTo(board.version);
  await time.pass(3000);
  board.goBack();
  windows.moveTo(board.version);
  assert.equal(team(350), undefined);
  await time.pass(100);
  assert.equal(team(350), truth(350));
});

test('fast scrolling keeps few windows and drops requests nobody waits for', async () => {
  const { time, asked, windows, team, truth } = windowed({ teams: 12_000 });
  for (let i = 300; i < 12_000; i += 200) {
    windows.want(i, Math.min(11_999, i + 30));
    await time.pass(80);
  }
  assert.ok(windows.keptWindows <= 16, `${windows.keptWindows} windows`);
  windows.want(1000, 1010);
  windows.want(9000, 9010);
  const before = asked.length;
  await time.pass(200);
  assert.equal(team(9000), truth(9000));
  assert.ok(asked.slice(before).every(({ from }) => from === 9000), 'rows passed by are not asked for');
});

test('announcements are rare, and then the latest', async () => {
  const time = new Time();
  const element = { textContent: '' };
  const announcer = new Announcer(element, { intervalMs: 8000, now: () => time.now, later: time.later });
  announcer.say('one');
  assert.equal(element.textContent, 'one');
  announcer.say('two');
  announcer.say('three');
  await time.pass(7999);
  assert.equal(element.textContent, 'one');
  await time.pass(1);
  assert.equal(element.textContent, 'three');
});

test('what is said of your team', () => {
  const answer = (rank, score, penalty) => ({ row: { team: '7', name: 'Foxes', rank, score, penalty }, above: [{ team: '1', name: 'Otters', rank: 11, score: 5, penalty: 100 }], below: [{ team: '2', name: 'Cats', score: 4, penalty: 260 }] });
  assert.equal(standing(answer(12, 4, 220), { byTime: true }), '12th · 1 solved behind Otters · 40 penalty ahead of Cats');
  assert.equal(standing(answer(12, 5, 100), { byTime: true }), '12th · behind Otters by the last solve · 1 solved ahead of Cats');
  assert.equal(standing(answer(11, 5, 100), { byTime: true }), '11th · level with Otters · 1 solved ahead of Cats');
  assert.equal(changeText(answer(12, 4, 220), answer(9, 5, 300)), 'Your team Foxes: rank 9, up 3, score 5.');
  assert.equal(changeText(answer(9, 4, 220), answer(10, 4, 220)), 'Your team Foxes: rank 10, down 1.');
  assert.equal(changeText(answer(9, 4, 220), answer(9, 4, 240)), null);
  assert.equal(changeText(null, answer(9, 4, 220)), null);
});
