// Who reads the board page how: assistive technology, narrow screens, forced colours, no motion, keys, the policy.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { shownRows, until } from './browser.mjs';
import { agrees, base, hooks, mock, open, opened, rowElements, rows, scrollTo, start } from './mock-page.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

hooks();

describe('readers', () => {
  async function violations(page) {
    // Bypassing the policy would weaken what is tested; axe comes in through the debugger instead.
    await page.evaluate(AXE);
    return page.evaluate(async () => {
      const { violations: found } = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
      return found.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any.map((one) => one.message).join('; ')}`).join(' | ')}`);
    });
  }

  for (const [what, options] of [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['a narrow light screen', { colorScheme: 'light', viewport: { width: 360, height: 740 } }],
    ['a narrow dark screen', { colorScheme: 'dark', viewport: { width: 360, height: 740 } }],
  ]) {
    test(`axe finds nothing: ${what}, frozen, with a pinned team`, async () => {
      await start({ teams: 400 });
      mock.board.freeze(true);
      mock.board.step(60, 20);
      const { team } = rows(3, 1)[0];
      const page = await open(`?team=${team}`, { ...options, reducedMotion: 'reduce' });
      await until('the panel shows', () => page.evaluate(() => document.querySelector('#pinned-rows .mine') !== null));
      assert.deepEqual(await violations(page), []);
      await page.click('#help-button');
      assert.deepEqual(await violations(page), []);
      await page.keyboard.press('Escape');
      await page.focus('#search');
      await page.keyboard.type('a');
      await page.locator('#match-list li').first().waitFor();
      assert.deepEqual(await violations(page), []);
    });
  }

  test('roles, indices and names of the grid', async () => {
    await start();
    const page = await open();
    await scrollTo(page, 1000);
    const found = await page.evaluate(() => {
      const row = document.querySelector('.body .row[aria-rowindex="1002"]');
      return {
        rowcount: document.querySelector('[role=grid]').getAttribute('aria-rowcount'),
        colcount: document.querySelector('[role=grid]').getAttribute('aria-colcount'),
        heads: document.querySelectorAll('[role=columnheader]').length,
        cells: row.querySelectorAll('[role=gridcell], [role=rowheader]').length,
        pin: row.querySelector('.pin').getAttribute('aria-label'),
        name: row.querySelector('.name').textContent,
        live: document.querySelector('#announcer').getAttribute('aria-live'),
      };
    });
    assert.deepEqual({ ...found, pin: undefined, name: undefined }, { rowcount: '25001', colcount: '16', heads: 16, cells: 16, live: 'polite', pin: undefined, name: undefined });
    assert.equal(found.pin, `My team: ${found.name}`);
  });

  test('a first solve has a star, not only a colour', async () => {
    await start({ teams: 60 });
    const page = await open();
    const stars = await page.evaluate(() => [...document.querySelectorAll('.body .cell.first')].map((cell) => [getComputedStyle(cell, '::after').content, cell.querySelector('.sr').textContent]));
    assert.ok(stars.length > 0);
    for (const [content, label] of stars) {
      assert.match(content, /★/);
      assert.match(label, /, first to solve$/);
    }
  });

  test('rows glide to a new rank, but not for those who want no motion', async () => {
    for (const reducedMotion of ['no-preference', 'reduce']) {
      await start({ teams: 300 });
      const page = await open('', { reducedMotion });
      await page.evaluate(() => {
        globalThis.glides = 0;
        const real = Element.prototype.animate;
        Element.prototype.animate = function (...given) {
          globalThis.glides += 1;
          return real.apply(this, given);
        };
      });
      mock.act('solve', rows(9, 1)[0].team, true);
      await agrees(page);
      const glides = await page.evaluate(() => globalThis.glides);
      assert.equal(glides > 0, reducedMotion === 'no-preference', `${glides} glides`);
      await opened.close();
      await mock.close();
    }
    await start({ teams: 1 });
  });

  test('at 360 px nothing is cut off and the problems are a strip', async () => {
    await start();
    const page = await open('', { viewport: { width: 360, height: 740 } });
    const layout = await page.evaluate(() => {
      const cell = document.querySelector('.body .cell[data-kind=solved]');
      return {
        page: document.documentElement.scrollWidth,
        scroller: document.querySelector('#scroller').scrollWidth - document.querySelector('#scroller').clientWidth,
        label: getComputedStyle(cell, '::before').content,
        last: document.querySelector('.body .row .cell:last-child').getBoundingClientRect().right,
      };
    });
    assert.equal(layout.page, 360);
    assert.equal(layout.scroller, 0);
    assert.match(layout.label, /^"[A-L]"/);
    assert.ok(layout.last <= 360, `${layout.last}`);
    await scrollTo(page, 20_000);
    await agrees(page);
    assert.ok((await rowElements(page)) < 200);
  });

  test('in forced colours, states differ by their borders', async () => {
    await start({ teams: 300 });
    mock.board.freeze(true);
    mock.board.step(200, 40);
    const page = await open('', { forcedColors: 'active' });
    const style = (kind) => page.evaluate((one) => getComputedStyle(document.querySelector(`.body .cell[data-kind="${one}"]`)).borderTopStyle, kind);
    assert.deepEqual([await style('solved'), await style('pending'), await style('tried'), await style('empty')], ['solid', 'dashed', 'dotted', 'none']);
  });

  test('single keys can be switched off, and stay off', async () => {
    await start({ teams: 50 });
    const page = await open();
    await page.keyboard.press('?');
    await page.uncheck('#keys-on');
    await page.keyboard.press('Escape');
    await page.reload();
    await until('rows are shown', async () => (await shownRows(page)).length > 0);
    await page.keyboard.press('?');
    await page.keyboard.press('/');
    assert.equal(await page.isVisible('#help'), false);
    assert.notEqual(await page.evaluate(() => document.activeElement.id), 'search');
  });

  test('a page that works under the policy has no inline script, style or data address', async () => {
    await start({ teams: 50 });
    for (const path of ['/', '/events/mock']) {
      const answer = await fetch(base + path);
      assert.equal(answer.headers.get('content-security-policy'), "default-src 'self'");
      const html = await answer.text();
      assert.doesNotMatch(html, /\sstyle=|<style|\son\w+=|javascript:|data:|https?:\/\//);
      for (const [, script] of html.matchAll(/<script[^>]*>([^<]*)<\/script>/g)) assert.equal(script, '');
    }
    const page = await open();
    mock.act('step', 10);
    await agrees(page);
    assert.deepEqual(opened.noted, { errors: [], uncaught: [], foreign: [] });
  });
});
