// What the page says: times, counts, cells, states, in words and in figures. Pure.

/** 25000 -> "25,000". */
export function count(value) {
  return Number(value).toLocaleString('en');
}

/** "1 try", "2 tries". */
export function plural(value, one, many) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** 14400000 -> "4:00:00". Negative times count as zero. */
export function contestTime(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, '0');
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/** Like contestTime, rounded up, with days when there are any: what a countdown shows. */
export function countdown(ms) {
  const whole = Math.max(0, Math.ceil(ms / 1000) * 1000);
  const days = Math.floor(whole / 86_400_000);
  const rest = contestTime(whole % 86_400_000);
  return days > 0 ? `${days} d ${rest}` : rest;
}

/** 1 -> "1st", 12 -> "12th". */
export function ordinal(n) {
  const tens = n % 100;
  const ending = tens >= 11 && tens <= 13 ? 'th' : ({ 1: 'st', 2: 'nd', 3: 'rd' }[n % 10] ?? 'th');
  return `${count(n)}${ending}`;
}

/** A colour that may go into a style, or null: `#rgb`, `#rrggbb`, with or without alpha. */
export function safeColour(rgb) {
  return typeof rgb === 'string' && /^#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/i.test(rgb) ? rgb : null;
}

/** How a board counts: by solved problems and time, or in points, of which `unit` make one that people read. */
export const BY_TIME = { byTime: true, unit: 1 };

/** A score as people read it: 25000 -> "25,000"; with a unit, 87650000 -> "87.65". */
export function points(score, { unit }) {
  return unit > 1 ? (Number(score) / unit).toFixed(2) : count(score);
}

/** `solved`, `pending`, `tried` or `empty`. */
export function cellKind(cell, scale = BY_TIME) {
  if (!cell) return 'empty';
  if (!scale.byTime && Number.isFinite(cell.score)) return cell.score > 0 ? 'solved' : 'tried';
  if (cell.solved) return 'solved';
  if (cell.pending > 0) return 'pending';
  if (cell.attempts > 0) return 'tried';
  return cell.score > 0 ? 'solved' : 'empty';
}

/** What a cell shows: a main figure and a small line below it (may be empty). */
export function cellText(cell, scale = BY_TIME) {
  const attempts = cell?.attempts ?? 0;
  if (!scale.byTime && Number.isFinite(cell?.score)) {
    return { main: points(cell.score, scale), sub: cell.pending > 0 ? `?${cell.pending}` : '' };
  }
  switch (cellKind(cell, scale)) {
    case 'solved':
      return { main: String(cell.time ?? cell.score ?? '✓'), sub: attempts > 1 ? `${attempts} tries` : '' };
    case 'pending':
      return { main: `?${cell.pending}`, sub: attempts > 0 ? `after ${attempts}` : '' };
    case 'tried':
      return { main: `−${attempts}`, sub: '' };
    default:
      return { main: '', sub: '' };
  }
}

/** The same in words, for screen readers and tooltips. */
export function cellLabel(cell, label, scale = BY_TIME) {
  const attempts = cell?.attempts ?? 0;
  if (!scale.byTime && Number.isFinite(cell?.score)) {
    const more = cell.pending > 0 ? `, ${plural(cell.pending, 'submission', 'submissions')} pending` : '';
    return `${label}: ${points(cell.score, scale)} points${cell.first ? ', first to solve' : ''}${more}`;
  }
  switch (cellKind(cell, scale)) {
    case 'solved': {
      const when = Number.isFinite(cell.time) ? ` at ${plural(cell.time, 'minute', 'minutes')}` : '';
      const worth = !when && Number.isFinite(cell.score) ? ` for ${plural(cell.score, 'point', 'points')}` : '';
      const tries = attempts > 0 ? ` after ${plural(attempts, 'try', 'tries')}` : '';
      return `${label}: solved${when}${worth}${tries}${cell.first ? ', first to solve' : ''}`;
    }
    case 'pending': {
      const before = attempts > 0 ? `, after ${plural(attempts, 'rejected try', 'rejected tries')}` : '';
      return `${label}: ${plural(cell.pending, 'submission', 'submissions')} pending${before}`;
    }
    case 'tried':
      return `${label}: not solved after ${plural(attempts, 'try', 'tries')}`;
    default:
      return `${label}: not tried`;
  }
}

const at = (text) => {
  const ms = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  return Number.isFinite(ms) ? ms : null;
};

const REPLAY_AFTER_MS = 3_600_000;

// Contest time of the newest solve among `rows`, or null.
function lastSolve(rows, startedAt, duration) {
  const times = (rows ?? []).map((row) => row.last_scored_at_ms - startedAt).filter((ms) => ms > 0 && ms <= duration);
  return times.length > 0 ? Math.max(...times) : null;
}

/**
 * Where an event stands at `nowMs` (the server's clock): `{phase, label, clock, clockLabel, elapsed, freezeFrom}`.
 * phase: before, running, frozen, over, ended, final. `elapsed` and `freezeFrom` are shares of the duration, or null.
 */
export function eventPhase(board, nowMs) {
  const state = board.state ?? {};
  const duration = state.duration_ms ?? null;
  const startedAt = at(state.started_at);
  const startAt = at(state.start_at);
  const endedAt = at(state.ended_at);
  const share = (ms) => (duration > 0 ? Math.min(1, Math.max(0, ms / duration)) : null);
  const freezeFrom = Number.isFinite(state.freeze_ms) ? share(state.freeze_ms) : null;
  const done = (phase, label) => {
    const ms = duration ?? (startedAt !== null && endedAt !== null ? endedAt - startedAt : null);
    return { phase, label, clock: ms === null ? '' : contestTime(ms), clockLabel: 'of contest', elapsed: 1, freezeFrom };
  };
  if (at(state.finalized_at) !== null) return done('final', 'Final');
  if (endedAt !== null) return done('ended', 'Ended');
  if (startedAt === null) {
    if (startAt === null) return { phase: 'before', label: 'Not started', clock: '', clockLabel: '', elapsed: 0, freezeFrom };
    const left = startAt - nowMs;
    const clock = left > 0 ? countdown(left) : '';
    return { phase: 'before', label: left > 0 ? 'Starts in' : 'Starts soon', clock, clockLabel: 'until start', elapsed: 0, freezeFrom };
  }
  const gone = Math.max(0, nowMs - startedAt);
  if (duration !== null && gone >= duration) {
    // A recording or a simulation carries times of its own: then the newest solve in sight is all that is known.
    const last = gone >= duration + REPLAY_AFTER_MS ? lastSolve(board.rows, startedAt, duration) : null;
    if (last === null) return done('over', 'Time is up');
    const phase = board.frozen ? 'frozen' : 'running';
    const label = board.frozen ? 'Frozen' : 'Running';
    return { phase, label, clock: contestTime(last), clockLabel: 'at the last solve', elapsed: share(last), freezeFrom };
  }
  return {
    phase: board.frozen ? 'frozen' : 'running',
    label: board.frozen ? 'Frozen' : 'Running',
    clock: contestTime(gone),
    clockLabel: duration === null ? 'contest time' : `of ${contestTime(duration)}`,
    elapsed: share(gone),
    freezeFrom,
  };
}

/** The text of the freeze banner, or null when the board is not frozen. */
export function freezeText(board) {
  if (!board.frozen) return null;
  const state = board.state ?? {};
  let since = Number.isFinite(state.freeze_ms) ? state.freeze_ms : null;
  if (since === null && at(state.frozen_at) !== null && at(state.started_at) !== null) {
    since = at(state.frozen_at) - at(state.started_at);
  }
  const when = since === null ? 'Frozen' : `Frozen since ${contestTime(since)}`;
  return `${when}: results of later submissions are shown as pending`;
}

/** What keeps `row` from the row above it: "1 solved and 40 penalty", "12 penalty". */
export function gap(row, above, scoreWord, scale = BY_TIME) {
  const score = (above.score ?? 0) - (row.score ?? 0);
  if (score !== 0) return `${points(Math.abs(score), scale)} ${scoreWord}`;
  if (!scale.byTime) return 'level';
  const penalty = (row.penalty ?? 0) - (above.penalty ?? 0);
  return penalty === 0 ? 'level' : `${count(Math.abs(penalty))} penalty`;
}
