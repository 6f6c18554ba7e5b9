// The board page at the mock server: 25,000 rows, losses, restarts, nonsense.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { shownRows, until } from './browser.mjs';
import { MockServer } from './mock.mjs';
import { agrees, base, blank, connection, hooks, inSight, mock, open, opened, replace, rowElements, rows, scrollTo, start, TEAMS } from './mock-page.mjs';

hooks();

describe('25,000 rows', () => {
  test('few are in the document, wherever one scrolls, and all can be reached', async () => {
    await start();
    const page = await open();
    assert.ok((await rowElements(page)) < 200);
    for (const index of [90, 3000, 12_345, 20_000]) {
      await scrollTo(page, index);
      await agrees(page);
      assert.ok((await rowElements(page)) < 200);
    }
    await page.evaluate(() => {
      const scroller = document.querySelector('#scroller');
      scroller.scrollTop = scroller.scrollHeight;
    });
    await until('the last row is in sight', async () => (await inSight(page)).at(-1)?.index === TEAMS - 1);
    await agrees(page);
    assert.ok((await rowElements(page)) < 200);
    assert.deepEqual(opened.noted.errors, []);
  });

  test('a flight over the board asks for little', async () => {
    await start();
    const page = await open();
    const before = mock.requests.length;
    const stops = await page.evaluate(async () => {
      const scroller = document.querySelector('#scroller');
      let long = 0;
      let last = performance.now();
      for (let i = 0; i <= 60; i += 1) {
        scroller.scrollTop = (i / 60) * scroller.scrollHeight;
        const now = await new Promise(requestAnimationFrame).then(() => performance.now());
        long += now - last > 50;
        last = now;
      }
      return long;
    });
    await agrees(page);
    const asked = mock.requests.length - before;
    // A busy machine's browser stands still between frames for so long that the one or two windows in sight are asked for.
    assert.ok(asked < 40 + 2 * stops, `${asked} requests for 125 windows passed by, in a flight with ${stops} stops`);
  });

  test('below the top, updates come at most every two seconds, pinned to one version', async () => {
    await start();
    const page = await open();
    await scrollTo(page, 5000);
    const from = mock.requests.length;
    const begun = Date.now();
    const timer = setInterval(() => mock.act('step', 30), 150);
    await until('several refreshes have come', () => mock.requests.slice(from).filter(({ path }) => path.endsWith('/board')).length >= 3, 15_000);
    clearInterval(timer);
    assert.ok(Date.now() - begun > 3900, 'three refreshes are at least two pauses');
    for (const { query } of mock.requests.slice(from)) assert.ok(Number(query.at) > 0);
    await agrees(page);
  });

  test('scrolling on while the board moves brings rows without delay', async () => {
    await start({ teams: 5000 });
    const page = await open();
    const timer = setInterval(() => mock.act('step', 10), 60);
    try {
      for (const index of [1000, 1400, 2000, 1000, 4000]) {
        await scrollTo(page, index);
        const before = mock.board.version;
        await until('the board has moved', () => mock.board.version > before + 2);
      }
    } finally {
      clearInterval(timer);
    }
    await agrees(page);
  });

  test('the reader goes on looking at the same rows when teams from below pass', async () => {
    await start();
    const page = await open();
    await scrollTo(page, 800);
    const seen = await inSight(page);
    const middle = seen[Math.floor(seen.length / 2)];
    const risers = rows(4000, 7).map((row) => row.team);
    for (const team of risers) mock.board.solve(team, true);
    mock.tell();
    await until('the team stands seven rows lower', async () => (await inSight(page)).find(({ team }) => team === middle.team)?.index === middle.index + 7);
    await until('it is where it was on the screen', async () => Math.abs((await inSight(page)).find(({ team }) => team === middle.team).top - middle.top) < 1);
    await agrees(page);
  });

  test('at the very top the leaders are looked at, whoever they are', async () => {
    await start();
    const page = await open();
    const [{ team }] = rows(9000, 1);
    mock.act('solve', team, true);
    await agrees(page, 'the new leader is at the top');
    assert.equal(await page.evaluate(() => document.querySelector('#scroller').scrollTop), 0);
  });

  test('a version that is gone (410) is replaced by the newest', async () => {
    await start();
    const page = await open();
    // The board moves on and forgets before the page hears of it.
    mock.board.step(50);
    mock.board.expire();
    await scrollTo(page, 7000);
    await agrees(page);
    assert.ok(mock.requests.some(({ query }) => query.limit === '200' && query.at === undefined));
    mock.tell();
    await agrees(page);
  });

  test('names are searched in all rows, with progress', async () => {
    await start();
    const page = await open();
    const [wanted] = rows(17_000, 1);
    const namesAsked = () => mock.requests.filter(({ path }) => path.endsWith('/board/names')).length;
    assert.equal(namesAsked(), 0, 'not before the search is used');
    let release;
    mock.namesHeld = new Promise((resolve) => { release = resolve; });
    await page.keyboard.press('/');
    await page.keyboard.type(wanted.team);
    await until('the progress is told', async () => /reading names: 5,000 of 25,000/.test(await page.textContent('#match-note')));
    release();
    const option = page.locator(`#match-list li:has(.id:text-is("${wanted.team}"))`);
    await option.waitFor();
    await until('all names are read', async () => /found$|^The first 30 matches$/.test(await page.textContent('#match-note')));
    assert.equal(await page.getAttribute('#search', 'aria-activedescendant'), 'match-0');
    await page.keyboard.press('Enter');
    await until('its row has the focus', () => page.evaluate((team) => document.activeElement.dataset?.team === team, wanted.team));
    assert.equal(namesAsked(), 5);
  });
});

describe('your team', () => {
  test('far down: pinned by the address, told of changes, jumped to', async () => {
    await start();
    const [row] = rows(15_000, 1);
    const page = await open(`?team=${row.team}`);
    await until('the panel shows it', () => page.evaluate((name) => document.querySelector('#pinned-rows .mine .name')?.textContent === name, row.name));
    assert.equal(await page.evaluate(() => document.querySelectorAll('#pinned-rows .row').length), 3);
    assert.equal(await page.evaluate(() => localStorage.getItem('gravity.pin.mock')), row.team);
    mock.act('solve', row.team, true);
    await until('the panel shows the new rank', async () => /^1st/.test(await page.textContent('#pinned-text')));
    await until('it is said', async () => /Your team .*: rank 1, up [\d,]+, score 12\./.test(await page.textContent('#announcer')));
    await until('the title tells', async () => (await page.title()).startsWith('#1 · '));
    await scrollTo(page, 4000);
    await page.click('#pinned-jump');
    await until('its row has the focus', () => page.evaluate((team) => document.activeElement.dataset?.team === team, row.team));
    assert.deepEqual(opened.noted.errors, []);
  });

  test('not in the division that is looked at', async () => {
    await start({ teams: 50 });
    const { team } = mock.board.page('south', 0, 1).rows[0];
    const page = await open(`?team=${team}&division=north`);
    await until('it is said', async () => (await page.textContent('#pinned-text')) === `Your team (${team}) is not in this division.`);
    assert.equal(await page.isVisible('#pinned-jump'), false);
    await page.selectOption('#division', 'south');
    await until('the panel shows it', async () => /^1st/.test(await page.textContent('#pinned-text')));
  });

  test('a pinned team that is not there is said not to be there, and the board is', async () => {
    await start({ teams: 50 });
    const page = await open('?team=nobody');
    await until('it is said', async () => (await page.textContent('#pinned-text')) === 'Team nobody is not on this board.');
    await agrees(page);
    await page.click('#pinned-unpin');
    await until('the panel is gone', async () => !(await page.isVisible('#pinned')));
    assert.deepEqual(opened.noted.errors, []);
  });

  test('a division that is not there is left out', async () => {
    await start({ teams: 50 });
    const page = await open('?division=nowhere');
    assert.equal(new URL(page.url()).searchParams.get('division'), null);
    await agrees(page);
  });
});

describe('losses', () => {
  test('a dropped stream goes on from where it was', async () => {
    await start();
    const page = await open();
    mock.board.step(20, 60);
    mock.drop();
    await agrees(page);
    await until('it is live', () => connection(page, 'live'));
    mock.act('step', 20, 60);
    await agrees(page);
  });

  test('a server that is away is told of, and taken up again when it is back', async () => {
    await start({ teams: 300 });
    const page = await open();
    const port = await mock.stop();
    await until('the page reconnects', () => connection(page, 'reconnecting'));
    await until('the page says since when it is stale', () => connection(page, 'stale'), 20_000);
    assert.match(await page.textContent('#connection-text'), /^Stale since \d\d:\d\d:\d\d$/);
    assert.ok((await shownRows(page)).length > 10, 'the last rows stay');
    mock.board.step(20, 60);
    const again = new MockServer({ teams: 1 });
    again.board = mock.board;
    await again.listen(port);
    replace(again);
    await until('it is live', () => connection(page, 'live'), 20_000);
    await agrees(page);
  });

  test('a version that goes back leads to a fresh board, below the top too', async () => {
    await start();
    const page = await open();
    for (let i = 0; i < 5; i += 1) mock.act('step', 20, 60);
    await scrollTo(page, 3000);
    mock.board.solve(rows(8000, 1)[0].team, true);
    mock.board.goBack();
    mock.drop();
    await agrees(page);
    await page.evaluate(() => {
      document.querySelector('#scroller').scrollTop = 0;
    });
    await agrees(page);
    mock.act('step', 20, 60);
    await agrees(page);
  });

  for (const [what, frame] of [
    ['not JSON', 'event: delta\ndata: {"version":\n\n'],
    ['on a version never seen', 'event: delta\ndata: {"version":99,"base":98,"rows":[]}\n\n'],
    ['without a sense', 'event: delta\ndata: {"version":2,"base":1,"order":[["nobody",1]]}\n\n'],
    ['an odd snapshot', 'event: snapshot\ndata: {"version":"x"}\n\n'],
  ]) {
    test(`a frame that is ${what} does no harm`, async () => {
      await start({ teams: 300 });
      const page = await open();
      const streams = () => mock.requests.filter(({ path }) => path.endsWith('/stream')).length;
      const before = streams();
      mock.raw(frame);
      await until('the stream is opened anew', () => streams() > before);
      await until('it is live', () => connection(page, 'live'));
      mock.act('step', 20, 60);
      await agrees(page);
      assert.deepEqual(opened.noted.errors, []);
    });
  }

  test('errors of the server are waited out', async () => {
    await start({ teams: 1000 });
    const page = await open();
    mock.failing = { status: 503, left: 3 };
    mock.drop();
    await until('the failures are over', () => mock.failing.left === 0, 20_000);
    await until('it is live', () => connection(page, 'live'), 20_000);
    mock.act('step', 20, 60);
    await agrees(page);
    mock.failing = { status: 429, left: 2 };
    await scrollTo(page, 700);
    await agrees(page);
  });
});

describe('the event', () => {
  test('freeze and thaw show at once; pending cells say so', async () => {
    await start({ teams: 300 });
    const page = await open();
    assert.equal(await page.isVisible('#freeze'), false);
    mock.act('freeze', true);
    await until('the banner is there', () => page.isVisible('#freeze'));
    assert.equal((await page.textContent('#freeze-text')).trim(), 'Frozen since 4:00:00: results of later submissions are shown as pending');
    assert.equal(await page.getAttribute('#state', 'data-phase'), 'frozen');
    mock.act('step', 40, 15);
    await until('a cell is pending', async () => (await shownRows(page)).some(({ cells }) => cells.some((cell) => /: \d+ submissions? pending/.test(cell))));
    mock.act('freeze', false);
    await until('the banner is gone', async () => !(await page.isVisible('#freeze')));
  });

  test('the clock follows the server, not the reader’s machine', async () => {
    await start({ teams: 50 });
    const page = await blank();
    await page.addInitScript(() => {
      const real = Date.now;
      Date.now = () => real() + 3_600_000;
    });
    await page.goto(`${base}/events/mock`);
    await until('the clock shows the contest time', async () => {
      const [h, m, s] = ((await page.textContent('#clock')) || '9:0:0').split(':').map(Number);
      const truth = (Date.now() - mock.board.startedAt) / 1000;
      return Math.abs(h * 3600 + m * 60 + s - truth) <= 2;
    });
  });

  test('before the start a countdown runs; in the end the state is final', async () => {
    await start({ teams: 50, warm: 0 });
    const soon = new Date(Date.now() + 90_000).toISOString();
    Object.assign(mock.board.state, { start_at: soon, started_at: null });
    mock.board.publish();
    const page = await open();
    assert.match(await page.textContent('#clock'), /^0:01:[23]\d$/);
    assert.equal(await page.textContent('#state-text'), 'Starts in');
    Object.assign(mock.board.state, { started_at: soon, ended_at: soon });
    mock.act('publish');
    await until('it has ended', async () => (await page.textContent('#state-text')) === 'Ended');
    Object.assign(mock.board.state, { finalized_at: soon });
    mock.act('publish');
    await until('it is final', async () => (await page.textContent('#state-text')) === 'Final');
    assert.equal(await page.textContent('#clock'), '5:00:00');
  });

  test('a board without teams says so', async () => {
    await start({ teams: 0 });
    await blank();
    await opened.page.goto(`${base}/events/mock`);
    await until('it is said', async () => (await opened.page.textContent('#notice-text')) === 'No teams on this board yet.');
  });

  test('a row that could not be scored says since when', async () => {
    await start({ teams: 50 });
    const stale = mock.board.teams.find((team) => team.row.score > 0);
    const page = await open();
    const told = () => page.evaluate(() => [...document.querySelectorAll('#grid .stale')].map((row) => row.textContent).join());
    assert.equal(await told(), '');
    Object.assign(stale, { row: undefined, stale_since_ms: 4_920_000 });
    mock.board.publish();
    mock.tell();
    await until('it is told', async () => /stale since 1:22:00/.test(await told()));
  });

  test('names are text, whatever is in them', async () => {
    await start({ teams: 50 });
    const page = await open();
    await until('the odd name is shown', async () => (await shownRows(page)).some(({ name }) => name === '<img src=x onerror=alert(1)>') || page.evaluate(() => document.querySelector('#scroller').scrollBy(0, 300)));
    assert.equal(await page.evaluate(() => document.querySelectorAll('#grid img').length), 0);
    assert.deepEqual(opened.noted.errors, []);
  });
});
