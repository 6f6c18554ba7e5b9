// The browser that the page tests drive, and what they wait with.
import { chromium } from 'playwright-core';

const ARGUMENTS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Chromium; `CHROMIUM` names another executable. */
export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: ARGUMENTS });
}

/** A page that notes console errors, uncaught errors and requests to other hosts. `options`: of a browser context. */
export async function openPage(browser, base, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const noted = { errors: [], uncaught: [], foreign: [] };
  page.on('console', (message) => {
    if (message.type() === 'error') noted.errors.push(message.text());
  });
  page.on('pageerror', (error) => noted.uncaught.push(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(base).origin) noted.foreign.push(request.url());
  });
  return { page, noted, close: () => context.close() };
}

/** Waits until `check()` gives something true, and returns it; fails with `what` after `ms`. */
export async function until(what, check, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}

/** The rows in the document, by index: [{index, team, rank, name, score, penalty, cells: [label]}]. */
export function shownRows(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('.body .row[data-team]')]
      .map((row) => ({
        index: Number(row.getAttribute('aria-rowindex')) - 2,
        team: row.dataset.team,
        rank: row.querySelector('.rank').textContent,
        name: row.querySelector('.name').textContent,
        score: row.querySelector('.c-score').textContent,
        penalty: row.querySelector('.c-penalty').textContent,
        cells: [...row.querySelectorAll('.cell .sr')].map((cell) => cell.textContent),
      }))
      .sort((a, b) => a.index - b.index),
  );
}
