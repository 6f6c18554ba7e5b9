//! A random contest and a plain model of its boards: every version's JSON, from a sorted `Vec`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gravity_api::serving::{Boards, BoardsOptions};
use gravity_events::board::{
    BoardHeader, BoardKey, BoardProblem, BoardRow, BoardValue, Cell, Division, FirstSolve, OVERALL, View,
};
use gravity_events::publish::{BoardChange, BoardVersion, BoardsEpoch, BoardsSink};
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Id, natural_cmp};
use icu_collator::{CollatorBorrowed, CollatorPreferences, options::CollatorOptions};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

pub const EVENT: &str = "final";
pub const TENANT: &str = "acme";
pub const DIVISIONS: [&str; 3] = [OVERALL, "d1", "d2"];
const NAMES: [&str; 9] = ["Zeta", "zeta", "Éclair", "Eclair", "e clair", "a\u{ad}b", "ab", "AB", "👩\u{200d}💻 team"];
const PROBLEMS: [&str; 4] = ["A", "B", "C", "D"];

pub fn options() -> BoardsOptions {
    BoardsOptions::new([9; 32])
}

/// One board of the model.
#[derive(Default)]
pub struct ModelBoard {
    pub version: u64,
    /// Every version's whole JSON, with all rows.
    pub json: BTreeMap<u64, Value>,
    /// The versions that the index must still have.
    pub kept: VecDeque<u64>,
}

/// Public or jury of the model.
pub struct Side {
    pub view: View,
    rng: StdRng,
    pub header: Option<BoardHeader>,
    pub rows: BTreeMap<Id, BoardRow>,
    pub firsts: BTreeMap<Id, FirstSolve>,
    pub boards: BTreeMap<&'static str, ModelBoard>,
}

pub struct World {
    pub epoch: u64,
    pub kept: usize,
    pub public: Side,
    pub jury: Side,
}

impl World {
    pub fn new(seed: u64, kept: usize) -> World {
        World { epoch: 0, kept, public: Side::new(View::Public, seed), jury: Side::new(View::Jury, seed + 1_000) }
    }

    pub fn side(&self, view: View) -> &Side {
        match view {
            View::Public => &self.public,
            View::Jury => &self.jury,
        }
    }

    /// The next epoch: both sides change.
    pub fn step(&mut self) -> BoardsEpoch {
        // Room for two epochs in which changes are staged.
        self.epoch += 3 + self.epoch % 3;
        let mut epoch = BoardsEpoch { epoch: self.epoch, ..Default::default() };
        let kept = self.kept;
        for side in [&mut self.public, &mut self.jury] {
            side.step(self.epoch, Some(kept), &mut epoch);
        }
        epoch
    }

    /// What a restart publishes, after `missed` epochs that the index did not see.
    pub fn restart(&mut self, missed: usize) -> BoardsEpoch {
        for _ in 0..missed {
            self.epoch += 1;
            let mut unseen = BoardsEpoch::default();
            self.public.step(self.epoch, None, &mut unseen);
            self.jury.step(self.epoch, None, &mut unseen);
        }
        let mut epoch = BoardsEpoch { epoch: self.epoch, snapshot: true, ..Default::default() };
        let kept = self.kept;
        for side in [&mut self.public, &mut self.jury] {
            side.all(&mut epoch);
            for board in side.boards.values_mut() {
                if board.kept.back() != Some(&board.version) {
                    board.keep(kept);
                    // The index cannot know which of the epochs that it missed this version came with.
                    if let Some(shown) = board.json.get_mut(&board.version).and_then(|json| json.get_mut("epoch")) {
                        *shown = self.epoch.into();
                    }
                }
            }
        }
        epoch
    }
}

pub fn publish(boards: &Boards, epoch: BoardsEpoch) {
    boards.publish(Arc::new(epoch));
}

/// The same behind a gate: what changes is staged in up to three epochs, and shown with the last of them.
pub fn publish_gated(boards: &Boards, mut epoch: BoardsEpoch, rng: &mut StdRng, between: impl Fn()) {
    let changes = std::mem::take(&mut epoch.changes);
    let parts = rng.random_range(1..=3);
    let mut staged: Vec<Vec<BoardChange>> = vec![vec![]; parts];
    changes.into_iter().for_each(|change| staged[rng.random_range(0..parts)].push(change));
    epoch.staged = staged.pop().expect("one is the last");
    epoch.gates = vec![(EVENT.into(), false)];
    for (n, staged) in staged.into_iter().enumerate() {
        let gates = if n == 0 { vec![(EVENT.into(), true)] } else { vec![] };
        let number = epoch.epoch + 1 + n as u64 - parts as u64;
        publish(boards, BoardsEpoch { epoch: number, staged, gates, ..Default::default() });
        between();
    }
    publish(boards, epoch);
}

impl ModelBoard {
    fn keep(&mut self, kept: usize) {
        self.kept.push_back(self.version);
        while self.kept.len() > kept {
            self.kept.pop_front();
        }
    }
}

fn key(team: &Id) -> BoardKey {
    BoardKey::Row { tenant: TENANT.into(), event: EVENT.into(), team: team.clone() }
}

fn first_key(problem: &Id) -> BoardKey {
    BoardKey::First { tenant: TENANT.into(), event: EVENT.into(), problem: problem.clone() }
}

fn header_key() -> BoardKey {
    BoardKey::Header { tenant: TENANT.into(), event: EVENT.into() }
}

impl Side {
    pub fn new(view: View, seed: u64) -> Side {
        let rng = StdRng::seed_from_u64(seed);
        Side {
            view,
            rng,
            header: None,
            rows: BTreeMap::new(),
            firsts: BTreeMap::new(),
            boards: DIVISIONS.map(|d| (d, ModelBoard::default())).into(),
        }
    }

    /// Changes at random, adds that to the epoch; `kept`: the index sees it, and keeps that many versions.
    pub fn step(&mut self, number: u64, kept: Option<usize>, epoch: &mut BoardsEpoch) {
        let view = self.view;
        let mut change = |key, value| epoch.changes.push(BoardChange { view, key, value });
        if self.header.is_none() || self.rng.random_ratio(1, 8) {
            self.change_header();
            change(header_key(), self.header.clone().map(|value| BoardValue::Header(value.into())));
        }
        let mut touched = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..6) {
            let team = Id::from(self.rng.random_range(1..40).to_string());
            let row = self.rng.random_ratio(5, 6).then(|| self.random_row());
            match &row {
                Some(row) => drop(self.rows.insert(team.clone(), row.clone())),
                None => drop(self.rows.remove(&team)),
            }
            touched.insert(team, row);
        }
        for (team, row) in touched {
            change(key(&team), row.map(|value| BoardValue::Row(value.into())));
        }
        if self.rng.random_ratio(1, 4) {
            let problem = Id::from(PROBLEMS[self.rng.random_range(0..PROBLEMS.len())]);
            let first = self.rng.random_ratio(4, 5).then(|| FirstSolve {
                team: self.rng.random_range(1..40).to_string().into(),
                submission: "s".into(),
                contest_time_ms: self.rng.random_range(0..10_000_000),
            });
            match &first {
                Some(first) => drop(self.firsts.insert(problem.clone(), first.clone())),
                None => drop(self.firsts.remove(&problem)),
            }
            change(first_key(&problem), first.map(|value| BoardValue::First(value.into())));
        }
        for division in DIVISIONS {
            let mut now = self.json(division);
            let board = self.boards.get_mut(division).unwrap();
            let same = board.json.get(&board.version).is_some_and(|before| {
                let mut before = before.clone();
                before.as_object_mut().unwrap().retain(|key, _| key != "version" && key != "epoch");
                before == now
            });
            if same {
                continue;
            }
            board.version += 1;
            now["version"] = board.version.into();
            if view == View::Jury {
                now["epoch"] = number.into();
            }
            board.json.insert(board.version, now);
            if let Some(kept) = kept {
                board.keep(kept);
            }
            epoch.versions.push(version(view, division, board.version));
        }
    }

    /// Everything, as a restart publishes it.
    pub fn all(&self, epoch: &mut BoardsEpoch) {
        let view = self.view;
        let mut change = |key, value| epoch.changes.push(BoardChange { view, key, value: Some(value) });
        if let Some(header) = &self.header {
            change(header_key(), BoardValue::Header(header.clone().into()));
        }
        for (team, row) in &self.rows {
            change(key(team), BoardValue::Row(row.clone().into()));
        }
        for (problem, first) in &self.firsts {
            change(first_key(problem), BoardValue::First(first.clone().into()));
        }
        let shown = self.boards.iter().filter(|(_, board)| board.version > 0);
        epoch.versions.extend(shown.map(|(division, board)| version(view, division, board.version)));
    }

    fn change_header(&mut self) {
        let rng = &mut self.rng;
        let mut header = self.header.clone().unwrap_or_else(|| BoardHeader {
            name: "Final".into(),
            start_at_ms: Some(1_700_000_000_000),
            duration_ms: Some(18_000_000),
            freeze_ms: Some(14_400_000),
            penalty_min: 20,
            problems: PROBLEMS
                .map(|p| BoardProblem { problem: p.into(), label: p.into(), name: p.to_lowercase(), rgb: None })
                .into(),
            divisions: vec![Division { division: "d1".into(), name: "One".into() }],
            ..Default::default()
        });
        let at = Some(1_700_000_000_000 + rng.random_range(0..18_000_000));
        match rng.random_range(0..8) {
            0 => header.formal_name = header.formal_name.xor(Some("The Final".into())),
            1 => header.frozen_at_ms = header.frozen_at_ms.xor(at),
            2 => header.ended_at_ms = header.ended_at_ms.xor(at),
            3 => header.thawed_at_ms = header.thawed_at_ms.xor(at),
            4 => header.problems[0].rgb = header.problems[0].rgb.take().xor(Some("#800080".into())),
            5 => header.penalty_min = rng.random_range(0..3) * 10,
            6 => header.name = format!("Final {}", rng.random_range(0..3)),
            _ => header.divisions = vec![Division { division: "d2".into(), name: "Two".into() }],
        }
        self.header = Some(header);
    }

    fn random_row(&mut self) -> BoardRow {
        let rng = &mut self.rng;
        let cell = |rng: &mut StdRng, problem: &str| Cell {
            problem: problem.into(),
            judged: rng.random_range(1..4),
            pending: rng.random_range(0..2),
            solved_min: rng.random_ratio(1, 2).then(|| rng.random_range(0..300)),
            score: rng.random_ratio(1, 4).then(|| rng.random_range(0..100)),
        };
        let tried: Vec<&str> = PROBLEMS.into_iter().filter(|_| rng.random_ratio(1, 2)).collect();
        let cells = tried.into_iter().map(|problem| cell(rng, problem)).collect();
        BoardRow {
            name: NAMES[rng.random_range(0..NAMES.len())].into(),
            organization: rng.random_ratio(1, 2).then(|| "Org".into()),
            divisions: ["d1", "d2"].into_iter().filter(|_| rng.random_ratio(1, 2)).map(Id::from).collect(),
            hidden: self.view == View::Jury && rng.random_ratio(1, 5),
            solved: rng.random_range(0..3),
            penalty: rng.random_range(0..3) * 20,
            last_solved_min: rng.random_range(0..2),
            last_scored_at_ms: rng.random_range(0..3),
            out_of_competition: rng.random_ratio(1, 8),
            cells,
            points: None,
        }
    }

    /// The board as it must be shown, but for version, epoch and window.
    pub fn json(&self, division: &str) -> Value {
        let header = self.header.clone().unwrap();
        let collator = CollatorBorrowed::try_new(CollatorPreferences::default(), CollatorOptions::default()).unwrap();
        let on_board = |row: &BoardRow| division == OVERALL || row.divisions.iter().any(|d| d == division);
        let mut rows: Vec<(&Id, &BoardRow)> = self.rows.iter().filter(|(_, row)| on_board(row)).collect();
        let score = |row: &BoardRow| {
            (row.hidden, row.out_of_competition, Reverse(row.solved), row.penalty, row.last_solved_min)
        };
        rows.sort_by(|(s, a), (t, b)| {
            score(a).cmp(&score(b)).then(collator.compare(&a.name, &b.name)).then_with(|| natural_cmp(s, t))
        });
        let rank = |row: &BoardRow| match row.hidden || row.out_of_competition {
            true => Value::Null,
            false => (1 + rows.iter().filter(|(_, other)| score(other) < score(row)).count()).into(),
        };
        let cell = |team: &Id, cell: &Cell| {
            let mut json = json!({"problem": cell.problem, "solved": cell.solved_min.is_some(), "attempts": cell.judged, "pending": cell.pending});
            if let Some(min) = cell.solved_min {
                json["time"] = min.into();
                if self.firsts.get(&cell.problem).is_some_and(|first| first.team == *team) {
                    json["first"] = true.into();
                }
            }
            if let Some(score) = cell.score {
                json["score"] = score.into();
            }
            json
        };
        let row_json = |(team, row): &(&Id, &BoardRow)| {
            let mut json = json!({
                "rank": rank(row), "team": team, "name": row.name, "divisions": row.divisions, "score": row.solved,
                "penalty": row.penalty, "last_scored_at_ms": row.last_scored_at_ms,
                "problems": row.cells.iter().map(|c| cell(team, c)).collect::<Vec<_>>(),
            });
            if let Some(organization) = &row.organization {
                json["organization"] = organization.as_str().into();
            }
            if row.hidden {
                json["hidden"] = true.into();
            }
            if row.out_of_competition {
                json["out_of_competition"] = true.into();
            }
            json
        };
        let problem = |p: &BoardProblem| {
            let cells = || rows.iter().flat_map(|(_, row)| &row.cells).filter(|cell| cell.problem == p.problem);
            let first = self.firsts.get(&p.problem);
            json!({
                "problem": p.problem, "label": p.label, "name": p.name, "rgb": p.rgb,
                "first": first.map(|first| json!({"team": first.team, "time": first.contest_time_ms / 60_000})),
                "solved": cells().filter(|cell| cell.solved_min.is_some()).count(), "tried": cells().count(),
            })
        };
        let time = |ms: Option<i64>| ms.map(format_rfc3339_ms);
        let frozen = header.thawed_at_ms.is_none()
            && (header.frozen_at_ms.is_some() || (header.ended_at_ms.is_some() && header.freeze_ms.is_some()));
        json!({
            "event": EVENT, "name": header.name, "formal_name": header.formal_name, "view": self.view.name(),
            "division": division, "frozen": frozen, "scoring": "icpc", "penalty_min": header.penalty_min, "total_rows": rows.len(),
            "state": {
                "start_at": time(header.start_at_ms), "started_at": time(header.started_at_ms),
                "duration_ms": header.duration_ms, "freeze_ms": header.freeze_ms,
                "frozen_at": time(header.frozen_at_ms), "ended_at": time(header.ended_at_ms),
                "thawed_at": time(header.thawed_at_ms), "finalized_at": time(header.finalized_at_ms),
            },
            "problems": header.problems.iter().map(problem).collect::<Vec<_>>(),
            "divisions": header.divisions,
            "rows": rows.iter().map(row_json).collect::<Vec<_>>(),
        })
    }

    /// A page of a version, without its cursor.
    pub fn page(&self, division: &str, version: u64, from: usize, limit: usize) -> Value {
        let mut page = self.boards[division].json[&version].clone();
        let rows = page["rows"].as_array().unwrap();
        page["rows"] = rows.iter().skip(from).take(limit).cloned().collect();
        page["from"] = from.into();
        page
    }

    /// A team's answer at a version; `None` if it is not on the board.
    pub fn team(&self, division: &str, version: u64, team: &str) -> Option<Value> {
        let board = &self.boards[division].json[&version];
        let rows = board["rows"].as_array().unwrap();
        let at = rows.iter().position(|row| row["team"] == team)?;
        let mut answer: Map<String, Value> = ["event", "view", "division", "version", "epoch"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), board.get(key)?.clone())))
            .collect();
        answer.insert("row".into(), rows[at].clone());
        answer.insert("position".into(), at.into());
        answer.insert("above".into(), rows[at.saturating_sub(3)..at].into());
        answer.insert("below".into(), rows[at + 1..rows.len().min(at + 4)].into());
        Some(answer.into())
    }
}

pub fn version(view: View, division: &str, version: u64) -> BoardVersion {
    BoardVersion { tenant: TENANT.into(), event: EVENT.into(), view, division: division.into(), version }
}

/// A small epoch written by hand: teams with what they solved, on the overall board.
pub fn epoch_of(number: u64, view: View, board_version: u64, teams: &[(&str, u32)]) -> BoardsEpoch {
    let mut changes: Vec<BoardChange> = teams
        .iter()
        .map(|(team, solved)| {
            let row = BoardRow { name: format!("Team {team}"), solved: *solved, ..Default::default() };
            BoardChange { view, key: key(&Id::from(*team)), value: Some(BoardValue::Row(row.into())) }
        })
        .collect();
    if board_version == 1 {
        let header = BoardHeader { name: "Final".into(), ..Default::default() };
        changes.push(BoardChange { view, key: header_key(), value: Some(BoardValue::Header(header.into())) });
    }
    BoardsEpoch { epoch: number, changes, versions: vec![version(view, OVERALL, board_version)], ..Default::default() }
}

/// An epoch that takes the event away.
pub fn gone(number: u64, view: View, teams: &[&str]) -> BoardsEpoch {
    let keys = teams.iter().map(|team| key(&Id::from(*team))).chain([header_key()]);
    let changes = keys.map(|key| BoardChange { view, key, value: None }).collect();
    BoardsEpoch { epoch: number, changes, ..Default::default() }
}
