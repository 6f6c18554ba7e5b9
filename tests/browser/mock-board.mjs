// A made-up contest for the mock server: teams, problems, random submissions, and boards of the last 64 versions in
// the API's shapes. Same seed and same steps, same boards.

const KEPT_VERSIONS = 64;
const PLACES = ['Aarhus', 'Kraków', 'Łódź', 'Porto', 'Zürich', 'Tartu', 'Göteborg', 'Brno', 'Lyon', 'Pisa', 'Gent', 'Ålesund', 'Iași', 'Split', 'Cork', 'Delft', '東京', 'São Paulo'];
const KINDS = ['University', 'Institute of Technology', 'Polytechnic', 'School of Mines', 'College'];
const FIRST = ['Quiet', 'Greedy', 'Lazy', 'Lucky', 'Segment', 'Binary', 'Brave', 'Random', 'Fast', 'Persistent', 'Sparse', 'Cyclic', 'Golden', 'Hungry', 'Silent', 'Wild'];
const SECOND = ['Otters', 'Trees', 'Pointers', 'Penguins', 'Heaps', 'Knights', 'Badgers', 'Matrices', 'Falcons', 'Stacks', 'Foxes', 'Graphs', 'Turtles', 'Cats', 'Monoids', 'Lemmas'];
const COLOURS = ['#e6194b', '#f58231', '#ffe119', '#3cb44b', '#42d4f4', '#4363d8', '#911eb4', '#f032e6', '#ffffff', '#111111', '#9a6324', '#a9a9a9', '#808000'];
const TITLES = ['Ancient Arrays', 'Bridge Bandits', 'Cable Car', 'Dominoes', 'Eel Express', 'Forest Fire', 'Guarded Gates', 'Harbour', 'Ice Lanes', 'Jigsaw', 'Kites', 'Lanterns', 'Mirrors'];
const ODD_NAMES = { 7: '<img src=x onerror=alert(1)>', 11: 'فريق الخوارزميات', 13: 'A team whose name is so very long that no board of this world has room for all of it at once', 17: 'Крепкие орешки' };

/** mulberry32: a small, well known generator; enough for made-up contests. */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class MockBoard {
  constructor({ event = 'mock', teams = 25_000, problems = 12, seed = 1, elapsedMs = 7_900_000, warm = 5 } = {}) {
    this.random = random(seed);
    this.event = event;
    this.startedAt = Date.now() - elapsedMs;
    this.frozen = false;
    this.state = { start_at: iso(this.startedAt), started_at: iso(this.startedAt), duration_ms: 18_000_000, freeze_ms: 14_400_000, frozen_at: null, ended_at: null, thawed_at: null, finalized_at: null };
    this.problems = Array.from({ length: problems }, (_, i) => ({ problem: `p${i + 1}`, label: String.fromCharCode(65 + i), name: TITLES[i % TITLES.length], rgb: COLOURS[i % COLOURS.length] }));
    this.divisions = [{ division: 'north', name: 'North' }, { division: 'south', name: 'South & islands' }];
    this.firsts = new Map();
    this.version = 1;
    this.kept = new Map();
    this.teams = Array.from({ length: teams }, (_, i) => this.#team(i));
    this.#warm(warm, elapsedMs);
    this.publish(false);
  }

  #pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  #team(i) {
    const organization = `${this.#pick(PLACES)} ${this.#pick(KINDS)}`;
    const name = ODD_NAMES[i] ?? `${this.#pick(FIRST)} ${this.#pick(SECOND)}${this.random() < 0.3 ? ` ${1 + Math.floor(this.random() * 9)}` : ''}`;
    return { team: String(i + 1), name, organization: i % 29 === 28 ? undefined : organization, divisions: [i % 3 === 0 ? 'north' : 'south'], skill: this.random() ** 1.6, cells: new Map() };
  }

  // The contest up to now, in the order of time, so that firsts are firsts.
  #warm(triesPerTeam, elapsedMs) {
    const tries = [];
    for (const team of this.teams) {
      const n = Math.round(triesPerTeam * (0.3 + 2.6 * team.skill));
      for (let i = 0; i < n; i += 1) tries.push([Math.floor((this.random() ** 0.9 * elapsedMs) / 60_000), team]);
    }
    tries.sort((a, b) => a[0] - b[0] || Number(a[1].team) - Number(b[1].team));
    for (const [minute, team] of tries) this.submit(team, this.#choose(team), minute);
  }

  // Problems get harder from left to right, give or take.
  #choose(team) {
    const open = this.problems.filter((p) => !team.cells.get(p.problem)?.solved);
    return open[Math.min(open.length - 1, Math.floor(this.random() ** 1.7 * open.length))];
  }

  submit(team, problem, minute) {
    if (!problem) return;
    const old = team.cells.get(problem.problem) ?? { problem: problem.problem, solved: false, attempts: 0, pending: 0 };
    if (old.solved) return;
    let next;
    if (this.frozen) next = { ...old, pending: old.pending + 1 };
    else if (this.random() < Math.max(0.004, 0.5 + 0.42 * team.skill - 0.085 * this.problems.indexOf(problem))) {
      next = { ...old, solved: true, time: minute, attempts: old.attempts + 1 };
      if (!this.firsts.has(problem.problem)) {
        this.firsts.set(problem.problem, { team: team.team, time: minute });
        next.first = true;
      }
    } else next = { ...old, attempts: old.attempts + 1 };
    team.cells.set(problem.problem, next);
    team.row = undefined;
  }

  #row(team) {
    if (team.row) return team.row;
    const cells = this.problems.map((p) => team.cells.get(p.problem)).filter(Boolean);
    const solved = cells.filter((cell) => cell.solved);
    const penalty = solved.reduce((sum, cell) => sum + cell.time + 20 * (cell.attempts - 1), 0);
    team.last = solved.reduce((last, cell) => Math.max(last, cell.time), 0);
    team.row = { team: team.team, name: team.name, organization: team.organization, divisions: team.divisions, score: solved.length, penalty, last_scored_at_ms: team.last * 60_000, problems: cells };
    if (team.stale_since_ms !== undefined) team.row.stale_since_ms = team.stale_since_ms;
    return team.row;
  }

  /** Makes what has happened the next version (unless `move` is false). */
  publish(move = true) {
    if (move) this.version += 1;
    for (const team of this.teams) this.#row(team);
    const sorted = [...this.teams].sort((a, b) => b.row.score - a.row.score || a.row.penalty - b.row.penalty || a.last - b.last || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) || Number(a.team) - Number(b.team));
    const boards = new Map();
    for (const division of ['', ...this.divisions.map((d) => d.division)]) {
      boards.set(division, this.#board(sorted.filter((team) => division === '' || team.divisions.includes(division)), division));
    }
    this.kept.set(this.version, boards);
    for (const version of this.kept.keys()) if (version <= this.version - KEPT_VERSIONS) this.kept.delete(version);
  }

  #board(teams, division) {
    let rank = 0;
    const rows = teams.map((team, i) => {
      const above = teams[i - 1];
      const level = above && above.row.score === team.row.score && above.row.penalty === team.row.penalty && above.last === team.last;
      if (!level) rank = i + 1;
      return { rank, row: team.row };
    });
    const problems = this.problems.map((p) => {
      const cells = teams.map((team) => team.cells.get(p.problem)).filter(Boolean);
      return { ...p, first: this.firsts.get(p.problem) ?? null, solved: cells.filter((cell) => cell.solved).length, tried: cells.length };
    });
    const meta = { event: this.event, name: 'Northern Collegiate Contest 2025', formal_name: 'Mock regional contest of the far north', view: 'public', division, frozen: this.frozen, state: { ...this.state }, penalty_min: 20, problems, divisions: this.divisions };
    return { meta, rows };
  }

  /** One page in the API's shape, or null when the version is no longer kept. */
  page(division, from, limit, version = this.version) {
    const board = this.kept.get(version)?.get(division);
    if (!board) return null;
    return { ...board.meta, version, total_rows: board.rows.length, from, rows: board.rows.slice(from, from + limit).map(({ rank, row }) => ({ rank, ...row })) };
  }

  /** A part of the names, or null when the version is no longer kept. */
  names(division, from, limit, version) {
    const page = this.page(division, from, limit, version);
    return page && { event: page.event, view: page.view, division, version: page.version, total_rows: page.total_rows, from, rows: page.rows.map(({ team, name, organization }) => ({ team, name, organization })) };
  }

  /** The answer about one team, or null. */
  team(division, id) {
    const { rows } = this.kept.get(this.version).get(division);
    const position = rows.findIndex(({ row }) => row.team === id);
    if (position < 0) return null;
    const out = ({ rank, row }) => ({ rank, ...row });
    return { event: this.event, view: 'public', division, version: this.version, row: out(rows[position]), position, above: rows.slice(Math.max(0, position - 3), position).map(out), below: rows.slice(position + 1, position + 4).map(out) };
  }

  /** `n` submissions now; `among` the first so many teams of the board. */
  step(n = 1, among = this.teams.length) {
    const minute = Math.floor((Date.now() - this.startedAt) / 60_000);
    const leaders = this.page('', 0, among).rows.map((row) => row.team);
    for (let i = 0; i < n; i += 1) {
      const team = this.teams[Number(leaders[Math.floor(this.random() * leaders.length)]) - 1];
      this.submit(team, this.#choose(team), minute);
    }
    this.publish();
  }

  /** Lets `id` solve its next open problem; with `all`, every one: it goes to the top. */
  solve(id, all = false) {
    const team = this.teams[Number(id) - 1];
    const minute = Math.floor((Date.now() - this.startedAt) / 60_000);
    for (const problem of this.problems) {
      const old = team.cells.get(problem.problem);
      if (old?.solved) continue;
      team.cells.set(problem.problem, { problem: problem.problem, solved: true, time: minute, attempts: (old?.attempts ?? 0) + 1, pending: 0 });
      if (!all) break;
    }
    team.row = undefined;
    this.publish();
  }

  freeze(on) {
    this.frozen = on;
    this.state.frozen_at = on ? iso(this.startedAt + 14_400_000) : this.state.frozen_at;
    this.state.thawed_at = on ? null : iso(Date.now());
    if (on) this.startedAt = Date.now() - 15_000_000;
    this.state.started_at = iso(this.startedAt);
    this.publish();
  }

  /** As after a restore from an old backup: another, lower version; nothing older is kept. */
  goBack() {
    this.version = 0;
    this.kept.clear();
    this.publish();
  }

  /** Forgets all versions but the newest. */
  expire() {
    for (const version of this.kept.keys()) if (version !== this.version) this.kept.delete(version);
  }
}

/** The delta between two pages of the same window, in the stream's shape. */
export function delta(before, after) {
  const old = new Map(before.rows.map((row) => [row.team, JSON.stringify(row)]));
  const meta = {};
  for (const key of ['frozen', 'state', 'problems', 'divisions', 'name', 'formal_name', 'penalty_min']) {
    if (JSON.stringify(before[key]) !== JSON.stringify(after[key])) meta[key] = after[key];
  }
  const places = (page) => page.rows.map((row) => [row.team, row.rank]);
  const out = { version: after.version, base: before.version, meta, total_rows: after.total_rows, rows: after.rows.filter((row) => old.get(row.team) !== JSON.stringify(row)) };
  if (JSON.stringify(places(before)) !== JSON.stringify(places(after))) out.order = places(after);
  return out;
}

function iso(ms) {
  return new Date(ms).toISOString();
}
