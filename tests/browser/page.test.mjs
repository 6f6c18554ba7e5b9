// The board page in a browser. With BASE_URL (and EVENT) it is tested at a real server, by what any board must do;
// STEP then names a shell command that changes the top of that board. Without, at the mock, all of it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { launch, openPage, shownRows, until } from './browser.mjs';
import { MockServer } from './mock.mjs';

const real = process.env.BASE_URL?.replace(/\/+$/, '');
let browser;
let mock = null;
let base;
let event;

before(async () => {
  browser = await launch();
  if (real) {
    base = real;
    event = process.env.EVENT ?? (await get('/api/v1/events')).events[0].event;
  } else {
    mock = new MockServer({ teams: 25_000, event: 'mock' });
    base = await mock.listen();
    event = 'mock';
  }
});

after(async () => {
  await browser?.close();
  await mock?.close();
});

async function get(path) {
  const answer = await fetch(`${base}${path}`);
  assert.equal(answer.status, 200, path);
  return answer.json();
}

const api = (suffix = '', query = '') => get(`/api/v1/events/${encodeURIComponent(event)}/board${suffix}${query}`);

async function open(query = '', options = {}, at = { base, event }) {
  const opened = await openPage(browser, at.base, options);
  await opened.page.goto(`${at.base}/events/${encodeURIComponent(at.event)}${query}`);
  await until('rows are shown', async () => (await shownRows(opened.page)).length > 0);
  await until('the page is live', () => opened.page.evaluate(() => document.querySelector('#connection').dataset.state === 'live'));
  return opened;
}

async function clean({ noted, close }) {
  assert.deepEqual(noted.errors, []);
  assert.deepEqual(noted.uncaught, []);
  assert.deepEqual(noted.foreign, []);
  await close();
}

const same = (shown, row) => shown.team === row.team && shown.rank === (row.rank === null ? '–' : row.rank.toLocaleString('en')) && shown.name === row.name && shown.score === row.score.toLocaleString('en');

async function showsTheBoard(page, query = '') {
  await until('the rows are those of the API', async () => {
    const { rows } = await api('', `?limit=100${query}`);
    const shown = (await shownRows(page)).filter(({ index }) => index < 100);
    return shown.length > 0 && shown[0].index === 0 && shown.every((one) => same(one, rows[one.index]));
  });
}

// A board may move while it is compared: what `check` finds counts when the version was the same before and after.
async function atRest(check) {
  for (let left = 20; ; left -= 1) {
    const board = await api('', '?limit=100');
    try {
      await check(board);
      return;
    } catch (error) {
      if (left === 0 || (await api('', '?limit=1')).version === board.version) throw error;
    }
  }
}

const step = async () => {
  if (mock) mock.act('step', 20, 60);
  else await promisify(execFile)('sh', ['-c', process.env.STEP]);
};

describe('any board', () => {
  test('shows the rows, cells and head of the API', async () => {
    const opened = await open();
    const { page } = opened;
    await showsTheBoard(page);
    await atRest(async (board) => {
      assert.equal(await page.textContent('#event-name'), board.name);
      assert.equal(await page.textContent('#team-count'), `${board.total_rows.toLocaleString('en')} ${board.total_rows === 1 ? 'team' : 'teams'}`);
      assert.equal(await page.getAttribute('#grid', 'aria-rowcount'), String(board.total_rows + 1));
      assert.equal(await page.isVisible('#freeze'), board.frozen);
      for (const { index, cells } of (await shownRows(page)).slice(0, 10)) {
        const row = board.rows[index];
        board.problems.forEach(({ problem, label }, i) => {
          const cell = row.problems.find((one) => one.problem === problem);
          if (!cell) assert.equal(cells[i], `${label}: not tried`);
          else if (cell.solved) assert.match(cells[i], new RegExp(`solved at ${cell.time.toLocaleString('en')} minutes? after ${cell.attempts} (try|tries)${cell.first ? ', first to solve' : ''}$`));
          else if (cell.pending > 0) assert.match(cells[i], new RegExp(`: ${cell.pending} submissions? pending`));
          else assert.match(cells[i], new RegExp(`: not solved after ${cell.attempts} (try|tries)$`));
        });
      }
      const heads = await page.$$eval('.head .problem .sr', (all) => all.map((one) => one.textContent));
      board.problems.forEach((problem, i) => assert.ok(heads[i].startsWith(`Problem ${problem.label}`), heads[i]));
    });
    await clean(opened);
  });

  test('a change arrives live', { skip: real && !process.env.STEP && 'STEP names no command that changes the board' }, async () => {
    const opened = await open();
    const { version } = await api('', '?limit=1');
    const moved = until('the rows change', () => opened.page.evaluate(() => globalThis.changed === true));
    await opened.page.evaluate(() => {
      new MutationObserver(() => {
        globalThis.changed = true;
      }).observe(document.querySelector('.body'), { subtree: true, childList: true, characterData: true });
    });
    await step();
    await moved;
    assert.ok((await api('', '?limit=1')).version > version);
    await showsTheBoard(opened.page);
    await clean(opened);
  });

  test('a division is chosen, kept in the address, and left again', async (t) => {
    const { divisions } = await api('', '?limit=1');
    const opened = await open();
    const { page } = opened;
    if (divisions.length === 0) {
      assert.equal(await page.isVisible('#division'), false);
      await clean(opened);
      t.diagnostic('the event has no divisions');
      return;
    }
    const { division } = divisions[0];
    await page.selectOption('#division', division);
    await until('the address tells', () => new URL(page.url()).searchParams.get('division') === division);
    await showsTheBoard(page, `&division=${encodeURIComponent(division)}`);
    await page.reload();
    await showsTheBoard(page, `&division=${encodeURIComponent(division)}`);
    assert.equal(await page.inputValue('#division'), division);
    await page.selectOption('#division', '');
    await showsTheBoard(page);
    assert.equal(new URL(page.url()).searchParams.get('division'), null);
    await clean(opened);
  });

  test('a team is pinned with the mouse, stays after a reload, and is unpinned', async () => {
    const opened = await open();
    const { page } = opened;
    const { team, name } = (await shownRows(page))[1];
    await page.click(`.body .row[data-team="${CSSescape(team)}"] .pin`);
    const pinnedName = () => page.evaluate(() => document.querySelector('#pinned-rows .mine .name')?.textContent);
    await until('the panel shows the team', async () => (await pinnedName()) === name);
    assert.equal(new URL(page.url()).searchParams.get('team'), team);
    const answer = await api(`/teams/${encodeURIComponent(team)}`);
    assert.match(await page.textContent('#pinned-text'), new RegExp(`^${answer.row.rank.toLocaleString('en')}(st|nd|rd|th)`));
    await page.goto(`${base}/events/${encodeURIComponent(event)}`);
    await until('the panel is back', async () => (await pinnedName()) === name);
    await page.click('#pinned-unpin');
    await until('the panel is gone', async () => !(await page.isVisible('#pinned')));
    assert.equal(new URL(page.url()).searchParams.get('team'), null);
    await clean(opened);
  });

  test('the keyboard moves over the rows, pins, searches and helps', async () => {
    const opened = await open();
    const { page } = opened;
    const { total_rows: total } = await api('', '?limit=1');
    const focused = () => page.evaluate(() => Number(document.activeElement.closest('.body .row')?.getAttribute('aria-rowindex')) - 2);
    await page.focus('.body .row[aria-rowindex="2"]');
    await page.keyboard.press('ArrowDown');
    assert.equal(await focused(), Math.min(1, total - 1));
    await page.keyboard.press('ArrowUp');
    assert.equal(await focused(), 0);
    await page.keyboard.press('End');
    assert.equal(await focused(), total - 1);
    await until('the last row is loaded', async () => (await shownRows(page)).some(({ index }) => index === total - 1));
    assert.equal(await focused(), total - 1);
    await page.keyboard.press('PageUp');
    const paged = await focused();
    assert.ok(paged < total - 1);
    await page.keyboard.press('PageDown');
    assert.equal(await focused(), total - 1);
    await page.keyboard.press('Home');
    assert.equal(await focused(), 0);
    await until('one row can be tabbed to', () => page.evaluate(() => document.querySelectorAll('.body .row[tabindex="0"]').length === 1));
    await page.keyboard.press('Enter');
    const mine = await until('the team is pinned', () => page.evaluate(() => document.querySelector('#pinned-rows .mine')?.dataset.team));
    await page.keyboard.press('End');
    await page.keyboard.press('m');
    await until('the focus is at my team', () => page.evaluate((team) => document.activeElement.closest('.body .row')?.dataset.team === team, mine));
    await page.keyboard.press('?');
    assert.equal(await page.isVisible('#help'), true);
    await page.keyboard.press('Escape');
    assert.equal(await page.isVisible('#help'), false);
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
    await page.keyboard.type('/d?m');
    assert.equal(await page.inputValue('#search'), '/d?m');
    await clean(opened);
  });

  test('the search finds a team by its name and goes there', async () => {
    const opened = await open();
    const { page } = opened;
    const { total_rows: total } = await api('', '?limit=1');
    const [wanted] = (await api('', `?from=${total - 1}&limit=1`)).rows;
    await page.keyboard.press('/');
    await page.keyboard.type(wanted.name);
    const option = page.locator(`#match-list li:has(.id:text-is("${wanted.team}"))`);
    await option.waitFor();
    await option.dispatchEvent('pointerdown');
    await until('its row has the focus', () => page.evaluate((team) => document.activeElement.dataset?.team === team, wanted.team));
    await clean(opened);
  });

  test('light and dark, by the system and by choice', async () => {
    const opened = await open('', { colorScheme: 'dark' });
    const { page } = opened;
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    assert.equal(await theme(), 'dark');
    await page.click('#theme');
    assert.equal(await theme(), 'light');
    await page.reload();
    assert.equal(await theme(), 'light');
    await page.click('#theme');
    assert.equal(await theme(), 'dark');
    await page.click('#theme');
    await page.emulateMedia({ colorScheme: 'light' });
    await until('the system is followed', async () => (await theme()) === 'light');
    await clean(opened);
  });

  test('an unknown event is said to be unknown, and leads to the list', async () => {
    const { page, noted, close } = await openPage(browser, base);
    await page.goto(`${base}/events/no-such-event`);
    // A server may refuse the page itself, too.
    await until('it is said', async () => /no event|not found|unknown/i.test(await page.evaluate(() => document.body.innerText)));
    assert.deepEqual(noted.foreign, []);
    await close();
  });

  test('the list of events leads to the board', async () => {
    const opened = await openPage(browser, base);
    const { page } = opened;
    await page.goto(`${base}/`);
    await page.locator(`#events a[href="/events/${encodeURIComponent(event)}"]`).click();
    await until('rows are shown', async () => (await shownRows(page)).length > 0);
    await clean(opened);
  });
});

function CSSescape(text) {
  return text.replace(/["\\]/g, '\\$&');
}
