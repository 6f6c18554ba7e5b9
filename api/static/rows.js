// One row of a board: builds its element, and fills it from a row of the API. Used by the table and by "your team".
import { bookmark, make, setAttribute, setText } from './dom.js';
import { cellKind, cellLabel, cellText, contestTime, count, points, safeColour } from './format.js';

/** What the columns are, from a board: a new object only when they change, so that rows can compare with `===`. */
export function columnsOf(board, known) {
  const problems = board.problems ?? [];
  const scoring = board.scoring ?? 'icpc';
  const byTime = scoring === 'icpc' && Number.isFinite(board.penalty_min);
  // Rubric boards count basis points times weights in basis points.
  const unit = scoring === 'rubric' ? 1_000_000 : 1;
  const dimensions = (board.rubric?.dimensions ?? []).map((d) => d.dimension);
  const key = JSON.stringify([byTime, unit, dimensions, problems.map((p) => [p.problem, p.label, p.name, p.rgb])]);
  if (known?.key === key) return known;
  return {
    key,
    byTime,
    unit,
    problems: [
      ...dimensions.map((d) => ({ id: d, dimension: true, label: d, name: '', rgb: null })),
      ...problems.map((p) => ({ id: p.problem, label: p.label ?? p.problem, name: p.name ?? '', rgb: safeColour(p.rgb) })),
    ],
  };
}

/** An empty row for `columns`. */
export function makeRow(columns, cellRole = 'gridcell') {
  const row = make('div', { class: 'row', role: 'row' });
  const parts = {
    rank: make('span', { class: 'rank' }),
    move: make('span', { class: 'move', 'aria-hidden': 'true' }),
    pin: make('button', { class: 'pin', type: 'button', tabindex: '-1', 'aria-pressed': 'false' }, bookmark()),
    name: make('span', { class: 'name', dir: 'auto' }),
    organization: make('span', { class: 'organization', dir: 'auto' }),
    score: make('div', { class: 'c-score', role: cellRole }),
    penalty: make('div', { class: 'c-penalty', role: cellRole }),
    cells: [],
  };
  const strip = make('div', { class: 'cells', role: 'none' });
  for (const problem of columns.problems) {
    const main = make('span', { class: 'main', 'aria-hidden': 'true' });
    const sub = make('span', { class: 'sub', 'aria-hidden': 'true' });
    const spoken = make('span', { class: 'sr' });
    const cell = make('div', { class: 'cell', role: cellRole, 'data-label': problem.label }, spoken, main, sub);
    parts.cells.push({ cell, spoken, main, sub });
    strip.append(cell);
  }
  row.append(
    make('div', { class: 'c-rank', role: cellRole }, parts.move, parts.rank),
    make('div', { class: 'c-team', role: 'rowheader' }, parts.pin, make('span', { class: 'names' }, parts.name, parts.organization)),
    parts.score,
    parts.penalty,
    strip,
  );
  row.parts = parts;
  row.columns = columns;
  row.shown = null;
  return row;
}

/** Fills `element` with `row` (undefined: not loaded yet). `flash`: cells that changed light up for a moment. */
export function fillRow(element, row, { pinned = false, flash = false } = {}) {
  const { parts, columns } = element;
  const before = element.shown;
  if (before !== row) {
    if (row) fill(element, row, before?.team === row.team ? before : null, flash, columns);
    else clear(element);
    element.shown = row ?? null;
  }
  const mine = row !== undefined && pinned;
  element.classList.toggle('mine', mine);
  setAttribute(element, 'aria-selected', mine ? 'true' : null);
  setAttribute(parts.pin, 'aria-pressed', String(mine));
}

function clear(element) {
  const { parts } = element;
  element.classList.add('loading');
  element.removeAttribute('data-team');
  setAttribute(element, 'aria-busy', 'true');
  for (const part of ['rank', 'move', 'organization', 'score', 'penalty']) setText(parts[part], '');
  setText(parts.name, 'Loading');
  parts.pin.hidden = true;
  for (const one of parts.cells) fillCell(one, undefined, null);
}

function fill(element, row, before, flash, columns) {
  const { parts } = element;
  const name = String(row.name ?? row.team);
  const organization = row.organization && row.organization !== name ? String(row.organization) : '';
  element.classList.remove('loading');
  element.dataset.team = row.team;
  setAttribute(element, 'aria-busy', null);
  setText(parts.rank, Number.isFinite(row.rank) ? count(row.rank) : '–');
  setText(parts.name, name);
  const stale = Number.isFinite(row.stale_since_ms) ? `stale since ${contestTime(row.stale_since_ms)}: later work could not be scored` : '';
  element.classList.toggle('stale', stale !== '');
  setText(parts.organization, [organization, stale].filter(Boolean).join(' · '));
  parts.name.title = organization ? `${name} (${organization})` : name;
  setText(parts.score, points(row.score ?? 0, columns));
  setText(parts.penalty, columns.byTime && Number.isFinite(row.penalty) ? count(row.penalty) : '');
  parts.pin.hidden = false;
  setAttribute(parts.pin, 'aria-label', `My team: ${name}`);
  parts.pin.title = 'My team';

  const rose = before && flash && Number.isFinite(row.rank) && Number.isFinite(before.rank) && row.rank < before.rank;
  if (rose) {
    setText(parts.move, `▲${before.rank - row.rank}`);
    restart(parts.move, 'show');
  } else if (!before) {
    parts.move.classList.remove('show');
  }
  const cells = new Map(row.problems.map((cell) => [cell.problem, cell]));
  columns.problems.forEach((problem, i) => {
    const value = problem.dimension ? dimensionCell(row, problem.id) : cells.get(problem.id);
    const scale = problem.dimension ? DIMENSION : columns;
    const changed = fillCell(parts.cells[i], value, problem, scale);
    if (changed && before && flash) restart(parts.cells[i].cell, 'fresh');
    else if (!before) parts.cells[i].cell.classList.remove('fresh');
  });
}

/** Dimensions are in basis points, shown as points of 100. */
const DIMENSION = { byTime: false, unit: 100 };

/** A dimension of a row as a cell; undefined while nothing is known of it. */
function dimensionCell(row, dimension) {
  const score = row.dimensions?.[dimension];
  return Number.isFinite(score) ? { score, attempts: 1, pending: 0 } : undefined;
}

function fillCell({ cell, spoken, main, sub }, value, problem, scale) {
  const text = cellText(value, scale);
  const kind = cellKind(value, scale);
  const first = kind === 'solved' && value.first === true;
  const changed = main.textContent !== text.main || sub.textContent !== text.sub || cell.dataset.kind !== kind;
  setText(main, text.main);
  setText(sub, text.sub);
  cell.dataset.kind = kind;
  cell.classList.toggle('first', first);
  const label = problem ? cellLabel(value, problem.label, scale) : '';
  setText(spoken, label);
  setAttribute(cell, 'title', kind === 'empty' ? null : label);
  return changed;
}

function restart(element, name) {
  element.classList.remove(name);
  void element.offsetWidth; // a style flush: otherwise the animation would not begin anew
  element.classList.add(name);
}

/** The head row for `columns`. */
export function makeHead(columns) {
  const head = make('div', { class: 'row head-row', role: 'row', 'aria-rowindex': '1' });
  const column = (name, text, title) => make('div', { class: name, role: 'columnheader', title }, text);
  const strip = make('div', { class: 'cells', role: 'none' });
  head.counts = columns.problems.map((problem) => {
    const dot = make('span', { class: problem.rgb ? 'dot' : 'dot none', 'aria-hidden': 'true' });
    if (problem.rgb) dot.style.setProperty('--dot', problem.rgb);
    const spoken = make('span', { class: 'sr' });
    const solved = make('span');
    const tried = make('span', { class: 'of' });
    const cell = make(
      'div',
      { class: 'problem', role: 'columnheader' },
      spoken,
      make('span', { class: 'label', 'aria-hidden': 'true' }, dot, make('span', {}, problem.label)),
      make('span', { class: 'count', 'aria-hidden': 'true' }, solved, tried),
    );
    strip.append(cell);
    return { cell, spoken, solved, tried, problem };
  });
  head.append(
    column('c-rank', 'Rank'),
    column('c-team', 'Team'),
    column('c-score', columns.byTime ? 'Solved' : 'Score'),
    column('c-penalty', columns.byTime ? 'Penalty' : '', columns.byTime ? 'Penalty minutes' : null),
    strip,
  );
  return head;
}

/** Puts the counts of solved and tried into a head row. */
export function fillHead(head, problems) {
  const byId = new Map(problems.map((p) => [p.problem, p]));
  head.counts.forEach(({ cell, spoken, solved, tried, problem }) => {
    if (problem.dimension) {
      setText(spoken, `Dimension ${problem.label}`);
      setAttribute(cell, 'title', problem.label);
      return;
    }
    const of = byId.get(problem.id) ?? {};
    const known = Number.isFinite(of.solved) && Number.isFinite(of.tried);
    setText(solved, known ? short(of.solved) : '');
    setText(tried, known ? `/${short(of.tried)}` : '');
    const name = problem.name && problem.name !== problem.label ? `, ${problem.name}` : '';
    const worth = Number.isFinite(of.value) ? `, worth ${count(of.value)}` : '';
    const counts = known ? `${worth}: solved by ${count(of.solved)} of ${count(of.tried)} that tried` : worth;
    setText(spoken, `Problem ${problem.label}${name}${counts}`);
    setAttribute(cell, 'title', `${problem.label}${name}${counts}`);
  });
}

// 12345 -> "12k": head cells are narrow; the exact figures are in the label.
function short(n) {
  return n < 1000 ? String(n) : n < 10_000 ? `${(Math.floor(n / 100) / 10).toFixed(1)}k` : `${Math.floor(n / 1000)}k`;
}
