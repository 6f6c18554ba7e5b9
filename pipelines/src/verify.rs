//! A second, deliberately plain implementation of boards: reads the whole log and recomputes everything at once.
//!
//! It shares the record codec with the pipeline, the value functions and the operators of dimensions: no folds, no
//! dataflow ([`gravity_operators::plain`] has the rules). What it computes
//! at the offsets that an epoch is bound to must equal what that epoch shows, bit for bit (invariant 3).

pub mod burn;
mod plain;
mod replay;

use std::collections::BTreeMap;

use gravity_events::board::{BoardHeader, BoardRow, FirstSolve, View, Worth};
use gravity_events::{Id, Topic};
use gravity_ingest::log::{Bound, Log, LogError};
use serde::Serialize;

/// A board without ranks: what a pipeline gives to serving, and what is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// What the event is; None: there is no board.
    pub header: Option<BoardHeader>,
    /// Rows by team.
    pub rows: BTreeMap<Id, BoardRow>,
    /// First solves by problem.
    pub firsts: BTreeMap<Id, FirstSolve>,
    /// What problems are worth, where solves decide.
    pub worths: BTreeMap<Id, Worth>,
}

/// Boards by (event, view).
pub type Boards = BTreeMap<(Id, View), Board>;

/// Differences that are listed.
const DIFFERENCES_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The epoch that was checked.
    pub epoch: u64,
    /// Records read.
    pub records: u64,
    /// Of those, counted.
    pub counted: u64,
    /// Dropped as duplicates.
    pub duplicates: u64,
    /// Refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Boards compared.
    pub boards: u64,
    /// Rows compared.
    pub rows: u64,
    /// Cells of burn compared.
    pub cells: u64,
    /// What differs; empty when all is well. At most 100 are listed.
    pub differences: Vec<String>,
    /// How many differences there are.
    pub differences_total: u64,
    /// What could not be checked, and why.
    pub not_covered: Vec<String>,
}

impl Report {
    /// Takes in what another one found.
    pub fn add(&mut self, other: Report) {
        self.records += other.records;
        self.counted += other.counted;
        self.duplicates += other.duplicates;
        for (code, n) in other.refused {
            *self.refused.entry(code).or_default() += n;
        }
        self.boards += other.boards;
        self.rows += other.rows;
        self.cells += other.cells;
        self.differences_total += other.differences_total;
        let room = DIFFERENCES_MAX.saturating_sub(self.differences.len());
        self.differences.extend(other.differences.into_iter().take(room));
        self.not_covered.extend(other.not_covered);
    }

    fn differs(&mut self, what: String) {
        self.differences_total += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(what);
        }
    }
}

/// Recomputes the boards from the log up to `bound` and compares them with `shown`, the boards of `epoch`. With `event`,
/// only that event's boards are compared.
pub fn verify(
    log: &dyn Log,
    epoch: u64,
    bound: &[Bound],
    shown: &Boards,
    event: Option<&str>,
) -> Result<Report, LogError> {
    let mut report = Report { epoch, ..Report::default() };
    let records = replay::replay(log, bound, &INPUTS, &INPUTS, &mut report)?;
    let wanted = |e: &Id| event.is_none_or(|w| w == e);
    let computed: Boards = plain::boards(&records).into_iter().filter(|((e, _), _)| wanted(e)).collect();
    let shown: Boards = shown
        .iter()
        .filter(|((e, _), b)| wanted(e) && b.header.is_some())
        .map(|(k, b)| (k.clone(), b.clone()))
        .collect();
    if !report.not_covered.is_empty() {
        report.not_covered.push("boards were not compared, because part of the log is gone".to_owned());
        return Ok(report);
    }
    for key in computed.keys().chain(shown.keys().filter(|k| !computed.contains_key(*k))) {
        report.boards += 1;
        let name = format!("{} ({})", key.0, key.1.name());
        match (computed.get(key), shown.get(key)) {
            (Some(c), Some(s)) => compare(&name, c, s, &mut report),
            (Some(_), None) => report.differs(format!("{name}: the board is not shown")),
            (None, Some(_)) => report.differs(format!("{name}: the board is shown, but the log does not make it")),
            (None, None) => {}
        }
    }
    Ok(report)
}

fn compare(name: &str, computed: &Board, shown: &Board, report: &mut Report) {
    if computed.header != shown.header {
        report.differs(format!("{name}: header: computed {:?}, shown {:?}", computed.header, shown.header));
    }
    report.rows += computed.rows.len() as u64;
    by_key(name, "team", &computed.rows, &shown.rows, report);
    by_key(name, "first to solve", &computed.firsts, &shown.firsts, report);
    by_key(name, "worth of", &computed.worths, &shown.worths, report);
}

fn by_key<V: PartialEq + std::fmt::Debug>(
    name: &str,
    what: &str,
    computed: &BTreeMap<Id, V>,
    shown: &BTreeMap<Id, V>,
    report: &mut Report,
) {
    for key in computed.keys().chain(shown.keys().filter(|k| !computed.contains_key(*k))) {
        if computed.get(key) != shown.get(key) {
            report.differs(format!(
                "{name}: {what} {key}: computed {:?}, shown {:?}",
                computed.get(key),
                shown.get(key)
            ));
        }
    }
}

/// Topics that boards are made of.
const INPUTS: [Topic; 3] = [Topic::Reference, Topic::Submissions, Topic::Judgements];
