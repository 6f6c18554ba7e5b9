// What tests of the page at the mock server share: the server, the open page, and what is in sight.
import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { launch, openPage, shownRows, until } from './browser.mjs';
import { MockServer } from './mock.mjs';

export const TEAMS = 25_000;
let browser;
/** The mock server of the running test. */
export let mock;
/** Its address. */
export let base;
/** What `open` opened last: {page, noted, close}; closed after the test. */
export let opened;

/** Starts the mock; it is closed after the test. */
export async function start(options = {}) {
  mock = new MockServer({ teams: TEAMS, ...options });
  base = await mock.listen();
}

/** Another server takes the place of the mock. */
export function replace(other) {
  mock = other;
}

/** A page that has gone nowhere yet. */
export async function blank(options = {}) {
  opened = await openPage(browser, base, options);
  return opened.page;
}

/** A page of the board, live. */
export async function open(query = '', options = {}) {
  const page = await blank(options);
  await page.goto(`${base}/events/mock${query}`);
  await until('rows are shown', async () => (await shownRows(page)).length > 0);
  await until('the page is live', () => connection(page, 'live'));
  return page;
}

export const connection = (page, state) => page.evaluate((wanted) => document.querySelector('#connection').dataset.state === wanted, state);
export const rowElements = (page) => page.evaluate(() => document.querySelectorAll('[role=row]').length);
export const rows = (from, limit, division = '') => mock.board.page(division, from, limit).rows;

// The rows that are really in sight, below the head and above the scroller's lower edge.
export const inSight = (page) =>
  page.evaluate(() => {
    const head = document.querySelector('.head').getBoundingClientRect().bottom;
    const { bottom } = document.querySelector('#scroller').getBoundingClientRect();
    return [...document.querySelectorAll('.body .row')]
      .map((row) => ({ team: row.dataset.team, index: Number(row.getAttribute('aria-rowindex')) - 2, box: row.getBoundingClientRect() }))
      .filter(({ box }) => box.top >= head - 1 && box.bottom <= bottom + 1)
      .sort((a, b) => a.index - b.index)
      .map(({ team, index, box }) => ({ team, index, top: box.top }));
  });

export async function scrollTo(page, index) {
  await page.evaluate((to) => {
    const scroller = document.querySelector('#scroller');
    scroller.scrollTop = to * document.querySelector('.body .row').offsetHeight;
  }, index);
  await until(`row ${index} is loaded`, async () => (await shownRows(page)).some((row) => row.index === index));
}

export async function agrees(page, what = 'the rows in sight are those of the newest version', ms = 10_000) {
  await until(what, async () => {
    const shown = await shownRows(page);
    const seen = await inSight(page);
    if (seen.length === 0 || seen.some(({ team }) => team === undefined)) return false;
    const truth = rows(seen[0].index, seen.length);
    return seen.every(({ team, index }, i) => {
      const row = truth[i];
      const one = shown.find((candidate) => candidate.index === index);
      return team === row.team && one?.rank === row.rank.toLocaleString('en') && one.score === String(row.score) && one.penalty === row.penalty.toLocaleString('en');
    });
  }, ms);
}

/** Registers the browser and the tidying up; call it once in a test file. */
export function hooks() {
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
  afterEach(async () => {
    const { noted } = opened ?? {};
    await opened?.close();
    await mock?.close();
    opened = undefined;
    // Lost connections are console errors of the browser's own; an uncaught one is always the page's.
    assert.deepEqual(noted?.uncaught ?? [], []);
  });
}
