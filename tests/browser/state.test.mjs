// state.js against the mock's own boards: after every delta the state equals the snapshot of that version.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyDelta, FrameError, fromSnapshot } from '../../api/static/state.js';
import { delta, MockBoard } from './mock-board.mjs';

const row = (team, rank, score = 0) => ({ team, rank, score, penalty: 0, problems: [] });
const snapshot = (version, rows, more = {}) => ({ event: 'e', version, total_rows: rows.length, rows, ...more });
const refuses = (state, frame, pattern) => assert.throws(() => applyDelta(state, frame), (error) => error instanceof FrameError && pattern.test(error.message));

for (const [limit, teams] of [[100, 400], [100, 60], [5, 5], [1, 30]]) {
  test(`deltas lead to the snapshots, ${limit} of ${teams} rows`, () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const board = new MockBoard({ teams, problems: 6, seed });
      let shown = board.page('', 0, limit);
      let state = fromSnapshot(shown, limit);
      for (let i = 0; i < 30; i += 1) {
        if (i === 20) board.freeze(true);
        else if (i === 25) board.freeze(false);
        else board.step(1 + (i % 7));
        const page = board.page('', 0, limit);
        state = applyDelta(state, delta(shown, page));
        shown = page;
        assert.deepEqual(state, fromSnapshot(page, limit));
      }
    }
  });
}

test('a delta without an order changes rows in place and leaves the others as they are', () => {
  const state = fromSnapshot(snapshot(3, [row('a', 1), row('b', 2)]), 100);
  const next = applyDelta(state, { version: 5, base: 3, rows: [row('b', 2, 1)] });
  assert.equal(next.rows[0], state.rows[0]);
  assert.equal(next.rows[1].score, 1);
  assert.equal(state.rows[1].score, 0);
  assert.equal(next.version, 5);
});

test('teams missing in the order leave, new ones come, ranks follow the order', () => {
  const state = fromSnapshot(snapshot(1, [row('a', 1), row('b', 2)], { total_rows: 5 }), 2);
  const next = applyDelta(state, { version: 2, base: 1, rows: [row('c', 1, 4)], order: [['c', 1], ['a', 2]] });
  assert.deepEqual(next.rows.map((r) => [r.team, r.rank]), [['c', 1], ['a', 2]]);
});

test('meta replaces top-level keys, but never rows, version or limit', () => {
  const state = fromSnapshot(snapshot(1, [row('a', 1)], { frozen: false }), 10);
  const next = applyDelta(state, { version: 2, base: 1, meta: { frozen: true, rows: [], version: 99, limit: 0 } });
  assert.equal(next.frozen, true);
  assert.equal(next.rows.length, 1);
  assert.equal(next.version, 2);
  assert.equal(next.limit, 10);
});

test('a delta that does not follow, goes back, or does not fit is refused', () => {
  const state = fromSnapshot(snapshot(4, [row('a', 1), row('b', 2)]), 100);
  refuses(state, { version: 6, base: 5 }, /on version 5, but version 4/);
  refuses(state, { version: 3, base: 4 }, /back to 3/);
  refuses(state, { version: 4, base: 4 }, /back to 4/);
  refuses(state, { version: 5, base: 4, rows: [row('z', 9)] }, /without a place/);
  refuses(state, { version: 5, base: 4, order: [['a', 1], ['z', 2]] }, /z in the order without a row/);
  refuses(state, { version: 5, base: 4, order: [['a', 1], ['a', 2]] }, /twice/);
  refuses(state, { version: 5, base: 4, order: [['a', 1]] }, /1 rows of 2/);
  refuses(state, { version: 5, base: 4, total_rows: 3 }, /2 rows of 3/);
});

test('malformed frames are refused, whatever they are', () => {
  const state = fromSnapshot(snapshot(4, [row('a', 1)]), 100);
  for (const frame of [null, 7, 'x', [], {}, { version: '5', base: 4 }, { version: 5, base: 4, rows: {} }, { version: 5, base: 4, rows: [null] }, { version: 5, base: 4, rows: [{ team: 7 }] }, { version: 5, base: 4, order: 'a' }, { version: 5, base: 4, order: ['a'] }, { version: 5, base: 4, meta: 5 }, { version: 5, base: 4, meta: { problems: {} } }, { version: 5, base: 4, total_rows: -1 }]) {
    assert.throws(() => applyDelta(state, frame), FrameError, JSON.stringify(frame));
  }
  for (const frame of [null, 7, {}, snapshot(-1, []), { ...snapshot(1, []), rows: 'no' }, { ...snapshot(1, []), total_rows: undefined }, snapshot(1, [{ team: 'a', problems: 3 }]), snapshot(1, [], { state: null })]) {
    assert.throws(() => fromSnapshot(frame, 100), FrameError, JSON.stringify(frame));
  }
  assert.throws(() => fromSnapshot(snapshot(1, [row('a', 1), row('b', 1)]), 1), FrameError);
});
