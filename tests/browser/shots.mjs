// Screenshots for looking at: node shots.mjs FOLDER [BASE_URL EVENT]
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, openPage, shownRows, until } from './browser.mjs';
import { MockServer } from './mock.mjs';

const [folder, base, event = 'mock'] = process.argv.slice(2);
if (!folder) {
  console.error('usage: node shots.mjs FOLDER [BASE_URL EVENT]');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const mock = base ? null : new MockServer({ teams: 25_000 });
let url = base ?? (await mock.listen());
const browser = await launch();

async function shot(name, path, options, prepare = async () => {}) {
  const { page, close } = await openPage(browser, url, options);
  await page.goto(`${url}${path}`);
  await until('there is something to see', () => page.evaluate(() => document.querySelector('.body .row[data-team], .events li') !== null));
  await prepare(page);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await close();
}

const wide = { viewport: { width: 1440, height: 900 } };
const phone = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true };
const board = `/events/${event}`;
const mine = async (page) => {
  const rows = await shownRows(page);
  await page.locator(`.body .row[data-team="${rows[4].team}"] .pin`).click();
  await until('the panel shows', () => page.evaluate(() => document.querySelectorAll('#pinned-rows .row').length > 0));
};

await shot('light', board, { ...wide, colorScheme: 'light' }, mine);
await shot('dark', board, { ...wide, colorScheme: 'dark' }, mine);
await shot('phone-light', board, { ...phone, colorScheme: 'light' }, mine);
await shot('phone-dark', board, { ...phone, colorScheme: 'dark' });
await shot('help', board, { ...wide, colorScheme: 'light' }, (page) => page.click('#help-button'));
await shot('index', '/', { ...wide, colorScheme: 'light' });
await shot('tablet', board, { viewport: { width: 820, height: 900 }, colorScheme: 'light' });
await shot('search', board, { ...wide, colorScheme: 'light' }, async (page) => {
  const [{ name }] = await shownRows(page);
  await page.keyboard.press('/');
  await page.keyboard.type(name.slice(0, 3));
  await until('teams are found', () => page.evaluate(() => document.querySelectorAll('#match-list li').length > 0));
});
await shot('forced-colors', board, { ...wide, forcedColors: 'active' }, mine);
if (mock) {
  mock.act('freeze', true);
  mock.act('step', 160, 60);
  await shot('frozen-light', board, { ...wide, colorScheme: 'light' }, mine);
  await shot('frozen-dark', board, { ...wide, colorScheme: 'dark' }, mine);
  await shot('frozen-phone', board, { ...phone, colorScheme: 'light' });
  // A regional contest: what most boards look like.
  await mock.close();
  const small = new MockServer({ teams: 64, problems: 13, seed: 5, elapsedMs: 11_000_000 });
  url = await small.listen();
  await shot('regional-light', board, { ...wide, colorScheme: 'light' });
  await shot('regional-dark', board, { ...wide, colorScheme: 'dark' });
  await shot('regional-phone', board, { ...phone, colorScheme: 'dark' }, mine);
  await small.close();
}
await browser.close();
