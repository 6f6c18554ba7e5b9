// The live top of a board: a snapshot, then deltas. Pure: no DOM, no network, no clock.
// After each applied frame a state holds exactly the first `limit` rows of its version.

/** A frame that cannot be applied. The remedy is always the same: ask the stream for a fresh snapshot. */
export class FrameError extends Error {}

const STRUCTURAL = new Set(['version', 'rows', 'total_rows', 'from', 'next_cursor']);

function need(condition, what) {
  if (!condition) throw new FrameError(what);
}

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

function checkRow(row) {
  need(row !== null && typeof row === 'object' && typeof row.team === 'string', 'a row without a team id');
  need(row.problems === undefined || Array.isArray(row.problems), 'a row whose problems are not a list');
  return row.problems === undefined ? { ...row, problems: [] } : row;
}

function checkMeta(meta) {
  for (const list of ['problems', 'divisions']) {
    need(meta[list] === undefined || Array.isArray(meta[list]), `${list} is not a list`);
  }
  need(meta.state === undefined || (meta.state !== null && typeof meta.state === 'object'), 'state is not an object');
}

/** Checks a page of rows or a snapshot and returns its rows. */
export function checkPage(data) {
  need(data !== null && typeof data === 'object', 'a page that is not an object');
  need(isCount(data.version), 'a page without a version');
  need(Array.isArray(data.rows), 'a page without rows');
  need(isCount(data.total_rows), 'a page without total_rows');
  return data.rows.map(checkRow);
}

/** State from a snapshot frame (or from a page that begins at row 0). `limit` is what was asked for. */
export function fromSnapshot(data, limit) {
  const rows = checkPage(data);
  checkMeta(data);
  need(rows.length <= limit, `a snapshot of ${rows.length} rows where at most ${limit} were asked for`);
  const meta = Object.fromEntries(Object.entries(data).filter(([key]) => !STRUCTURAL.has(key)));
  return {
    state: {},
    problems: [],
    divisions: [],
    ...meta,
    version: data.version,
    total_rows: data.total_rows,
    rows,
    limit,
  };
}

/**
 * State after a delta. Throws FrameError if the delta does not follow on `state` or does not fit it; `state` itself is
 * never changed. Rows without a change keep their identity, so that a reader can compare with `===`.
 */
export function applyDelta(state, delta) {
  need(delta !== null && typeof delta === 'object', 'a delta that is not an object');
  need(isCount(delta.version), 'a delta without a version');
  need(delta.base === state.version, `a delta on version ${delta.base}, but version ${state.version} is shown`);
  need(delta.version > delta.base, `a delta from version ${delta.base} back to ${delta.version}`);
  need(delta.rows === undefined || Array.isArray(delta.rows), 'a delta whose rows are not a list');
  need(delta.total_rows === undefined || isCount(delta.total_rows), 'a delta whose total_rows is not a count');

  const changed = new Map((delta.rows ?? []).map((row) => [row?.team, checkRow(row)]));
  const known = new Map(state.rows.map((row) => [row.team, row]));
  const total = delta.total_rows ?? state.total_rows;

  let rows;
  if (delta.order === undefined || delta.order === null) {
    for (const team of changed.keys()) need(known.has(team), `a row of ${team} without a place in the order`);
    rows = state.rows.map((row) => changed.get(row.team) ?? row);
  } else {
    rows = ordered(delta.order, changed, known);
  }
  need(rows.length === Math.min(state.limit, total), `${rows.length} rows of ${total} after a delta`);

  const meta = delta.meta ?? {};
  need(typeof meta === 'object', 'a delta whose meta is not an object');
  checkMeta(meta);
  const next = { ...state };
  for (const [key, value] of Object.entries(meta)) {
    if (!STRUCTURAL.has(key) && key !== 'limit') next[key] = value;
  }
  next.version = delta.version;
  next.total_rows = total;
  next.rows = rows;
  return next;
}

function ordered(order, changed, known) {
  need(Array.isArray(order), 'an order that is not a list');
  const seen = new Set();
  return order.map((place) => {
    need(Array.isArray(place) && typeof place[0] === 'string', 'a place in the order without a team id');
    const [team, rank] = place;
    need(!seen.has(team), `${team} twice in the order`);
    seen.add(team);
    const row = changed.get(team) ?? known.get(team);
    need(row !== undefined, `${team} in the order without a row`);
    return row.rank === rank ? row : { ...row, rank };
  });
}
