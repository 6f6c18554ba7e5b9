//! The JSON of boards: the shapes that pages, the command line and streams share.

use std::collections::BTreeMap;
use std::sync::Arc;

use gravity_events::Id;
use gravity_events::board::{BoardDimension, BoardHeader, BoardRow, Division, View};
use gravity_events::body::Scoring;
use gravity_events::time::format_rfc3339_ms;
use serde::Serialize;

use super::row::{RankedRow, TeamRow};
use super::state::{BoardState, HeaderState};

/// A page, or, without `next_cursor`, a stream's snapshot.
#[derive(Serialize)]
pub(super) struct BoardJson<'a> {
    event: &'a Id,
    #[serde(flatten)]
    title: TitleJson<'a>,
    view: &'static str,
    division: &'a Id,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    frozen: bool,
    state: StateJson,
    scoring: Scoring,
    #[serde(skip_serializing_if = "Option::is_none")]
    rubric: Option<RubricJson<'a>>,
    penalty_min: i64,
    problems: Vec<ProblemJson<'a>>,
    divisions: &'a [Division],
    total_rows: usize,
    from: usize,
    rows: Vec<RowJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Option<&'a str>>,
}

#[derive(Serialize)]
struct TitleJson<'a> {
    name: &'a str,
    formal_name: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RubricJson<'a> {
    rubric: &'a Id,
    version: u64,
    dimensions: &'a [BoardDimension],
}

impl<'a> RubricJson<'a> {
    fn of(header: &'a BoardHeader) -> Option<RubricJson<'a>> {
        let (rubric, version) = header.rubric.as_ref()?;
        Some(RubricJson { rubric, version: *version, dimensions: &header.dimensions })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct StateJson {
    start_at: Option<String>,
    started_at: Option<String>,
    duration_ms: Option<i64>,
    freeze_ms: Option<i64>,
    frozen_at: Option<String>,
    ended_at: Option<String>,
    thawed_at: Option<String>,
    finalized_at: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ProblemJson<'a> {
    problem: &'a Id,
    label: &'a str,
    name: &'a str,
    rgb: Option<&'a str>,
    first: Option<FirstJson<'a>>,
    solved: u32,
    tried: u32,
    /// What it is worth now, on boards where solves decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<i64>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct FirstJson<'a> {
    team: &'a Id,
    time: i64,
}

#[derive(Serialize)]
pub(super) struct RowJson<'a> {
    rank: Option<u32>,
    team: &'a Id,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<&'a str>,
    divisions: &'a [Id],
    #[serde(skip_serializing_if = "is_false")]
    hidden: bool,
    #[serde(skip_serializing_if = "is_false")]
    out_of_competition: bool,
    score: i64,
    penalty: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<BTreeMap<&'a Id, Option<i64>>>,
    last_scored_at_ms: i64,
    /// Contest time of the first submission that could not be scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_since_ms: Option<i64>,
    problems: Vec<CellJson<'a>>,
}

#[derive(Serialize)]
struct CellJson<'a> {
    problem: &'a Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<i64>,
    solved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    attempts: u32,
    pending: u32,
    #[serde(skip_serializing_if = "is_false")]
    first: bool,
}

/// A part of the names on a board, in its order: what a search by name needs.
#[derive(Serialize)]
pub(super) struct NamesJson<'a> {
    event: &'a Id,
    view: &'static str,
    division: &'a Id,
    version: u64,
    total_rows: usize,
    from: usize,
    rows: Vec<NameJson<'a>>,
}

#[derive(Serialize)]
struct NameJson<'a> {
    team: &'a Id,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<&'a str>,
}

impl<'a> NamesJson<'a> {
    pub(super) fn of(state: &'a BoardState, from: usize, limit: usize) -> Self {
        let name = |row: &'a Arc<TeamRow>| NameJson {
            team: &row.team,
            name: &row.row.name,
            organization: row.row.organization.as_deref(),
        };
        NamesJson {
            event: &state.head.event,
            view: state.head.view.name(),
            division: &state.division,
            version: state.version,
            total_rows: state.rows.len(),
            from,
            rows: state.rows.iter_from(from).take(limit).map(name).collect(),
        }
    }
}

/// A team's answer. On a stream `row` and `position` are null while the team is not on the board.
#[derive(Serialize)]
pub(super) struct TeamJson<'a> {
    pub(super) event: &'a Id,
    pub(super) view: &'static str,
    pub(super) division: &'a Id,
    pub(super) version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<u64>,
    pub(super) row: Option<RowJson<'a>>,
    pub(super) position: Option<usize>,
    pub(super) above: Vec<RowJson<'a>>,
    pub(super) below: Vec<RowJson<'a>>,
}

/// What of a board, besides rows, is another than it was.
#[derive(Default, Serialize)]
pub(super) struct MetaJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    formal_name: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<StateJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scoring: Option<Scoring>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rubric: Option<Option<RubricJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    penalty_min: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<ProblemJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    divisions: Option<&'a [Division]>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(b: &bool) -> bool {
    !b
}

impl<'a> BoardJson<'a> {
    pub(super) fn of(
        state: &'a BoardState,
        from: usize,
        window: &'a [RankedRow],
        next_cursor: Option<Option<&'a str>>,
    ) -> Self {
        let head = &*state.head;
        BoardJson {
            event: &head.event,
            title: TitleJson { name: &head.header.name, formal_name: head.header.formal_name.as_deref() },
            view: head.view.name(),
            division: &state.division,
            version: state.version,
            epoch: shown_epoch(state),
            frozen: head.frozen(),
            state: StateJson::of(head),
            scoring: head.header.scoring,
            rubric: RubricJson::of(&head.header),
            penalty_min: head.header.penalty_min,
            problems: problems(state),
            divisions: &head.header.divisions,
            total_rows: state.rows.len(),
            from,
            rows: window.iter().map(RowJson::of).collect(),
            next_cursor,
        }
    }
}

/// The epoch, which the public never sees: it moves with what is hidden from it.
pub(super) fn shown_epoch(state: &BoardState) -> Option<u64> {
    (state.head.view == View::Jury).then_some(state.epoch)
}

impl StateJson {
    pub(super) fn of(head: &HeaderState) -> StateJson {
        let h = &head.header;
        let time = |ms: Option<i64>| ms.map(format_rfc3339_ms);
        StateJson {
            start_at: time(h.start_at_ms),
            started_at: time(h.started_at_ms),
            duration_ms: h.duration_ms,
            freeze_ms: h.freeze_ms,
            frozen_at: time(h.frozen_at_ms),
            ended_at: time(h.ended_at_ms),
            thawed_at: time(h.thawed_at_ms),
            finalized_at: time(h.finalized_at_ms),
        }
    }
}

fn problems(state: &BoardState) -> Vec<ProblemJson<'_>> {
    let head = &*state.head;
    head.header
        .problems
        .iter()
        .map(|p| {
            let counts = state.counts.get(&p.problem).copied().unwrap_or_default();
            let first = head.firsts.get(&p.problem);
            ProblemJson {
                problem: &p.problem,
                label: &p.label,
                name: &p.name,
                rgb: p.rgb.as_deref(),
                first: first.map(|f| FirstJson { team: &f.team, time: f.contest_time_ms.div_euclid(60_000) }),
                solved: counts.solved,
                tried: counts.tried,
                value: head.worths.get(&p.problem).map(|worth| worth.points),
            }
        })
        .collect()
}

impl<'a> RowJson<'a> {
    pub(super) fn of(ranked: &'a RankedRow) -> RowJson<'a> {
        let row: &BoardRow = &ranked.row.row;
        let cell = |cell: &'a gravity_events::board::Cell| CellJson {
            problem: &cell.problem,
            score: cell.score,
            solved: cell.solved_min.is_some(),
            time: cell.solved_min,
            attempts: cell.judged,
            pending: cell.pending,
            first: ranked.row.firsts.contains(&cell.problem),
        };
        RowJson {
            rank: ranked.rank,
            team: &ranked.row.team,
            name: &row.name,
            organization: row.organization.as_deref(),
            divisions: &row.divisions,
            hidden: row.hidden,
            out_of_competition: row.out_of_competition,
            score: row.score(),
            dimensions: row
                .points
                .as_ref()
                .filter(|p| !p.dimensions.is_empty())
                .map(|p| p.dimensions.iter().map(|(dimension, score)| (dimension, *score)).collect()),
            penalty: row.penalty,
            last_scored_at_ms: row.last_scored_at_ms,
            stale_since_ms: row.points.as_ref().and_then(|p| p.stale_since_ms),
            problems: row.cells.iter().map(cell).collect(),
        }
    }
}

impl<'a> MetaJson<'a> {
    /// What the new state says otherwise than the base.
    pub(super) fn between(base: &'a BoardState, new: &'a BoardState) -> MetaJson<'a> {
        let (b, n) = (&base.head.header, &new.head.header);
        let (problems_before, problems_now) = (problems(base), problems(new));
        MetaJson {
            name: (b.name != n.name).then_some(&n.name),
            formal_name: (b.formal_name != n.formal_name).then_some(n.formal_name.as_deref()),
            frozen: (base.head.frozen() != new.head.frozen()).then(|| new.head.frozen()),
            state: Some(StateJson::of(&new.head)).filter(|now| *now != StateJson::of(&base.head)),
            scoring: (b.scoring != n.scoring).then_some(n.scoring),
            rubric: Some(RubricJson::of(n)).filter(|now| *now != RubricJson::of(b)),
            penalty_min: (b.penalty_min != n.penalty_min).then_some(n.penalty_min),
            problems: (problems_before != problems_now).then_some(problems_now),
            divisions: (b.divisions != n.divisions).then_some(&n.divisions),
        }
    }
}

/// Serialisation into memory cannot fail: every map key is a string.
pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a board's JSON has string keys only")
}
