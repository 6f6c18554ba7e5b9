//! What an import did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::{Outcome, Status};
use crate::feeds::FeedError;

/// Examples kept per code.
const EXAMPLES: usize = 3;

/// Codes kept by name; a server could send any number.
const CODES: usize = 64;

/// Counts of an import, so far or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines read, empty ones included.
    pub lines: u64,
    /// Records whose fate the server has told.
    pub sent: u64,
    /// Records that count.
    pub counted: u64,
    /// Durable records of which it is not yet known whether they count.
    pub accepted: u64,
    /// Records that were there already.
    pub duplicates: u64,
    /// Records that do not count, by code (`conflict` among them).
    pub refused: BTreeMap<String, Cases>,
    /// What the importer left out, by kind.
    pub skipped: BTreeMap<String, u64>,
    /// Lines, or objects in them, that could not be used, by code.
    pub bad_lines: BTreeMap<String, Cases>,
}

/// How often, and the first few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cases {
    /// How often.
    pub count: u64,
    /// The first ones, for people.
    pub examples: Vec<String>,
}

impl Report {
    /// Records that do not count, duplicates aside.
    pub fn refused_total(&self) -> u64 {
        self.refused.values().map(|c| c.count).sum()
    }

    /// Lines, or objects in them, that could not be used.
    pub fn bad_total(&self) -> u64 {
        self.bad_lines.values().map(|c| c.count).sum()
    }

    pub(super) fn add_bad(&mut self, error: &FeedError) {
        add(&mut self.bad_lines, error.code(), || error.to_string());
    }

    pub(super) fn add_outcome(&mut self, record: &[u8], outcome: &Outcome) {
        self.sent += 1;
        match outcome.status {
            Status::Counted => self.counted += 1,
            Status::Accepted => self.accepted += 1,
            Status::Duplicate => self.duplicates += 1,
            Status::Conflict | Status::Refused => {
                let problem = outcome.problem.clone().unwrap_or_default();
                let fallback = if outcome.status == Status::Conflict { "conflict" } else { "refused" };
                let code = problem.code.unwrap_or_else(|| fallback.into());
                let why = problem.detail.or(problem.title).unwrap_or_else(|| code.clone());
                add(&mut self.refused, &code, || format!("{}: {why}", record_id(record)));
            }
        }
    }
}

fn add(cases: &mut BTreeMap<String, Cases>, code: &str, example: impl FnOnce() -> String) {
    let known = cases.contains_key(code) || cases.len() < CODES;
    let case = cases.entry(if known { code.chars().take(80).collect() } else { "other".into() }).or_default();
    case.count += 1;
    if case.examples.len() < EXAMPLES {
        case.examples.push(example().chars().take(400).collect());
    }
}

fn record_id(record: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Named {
        id: String,
    }
    serde_json::from_slice::<Named>(record).map_or_else(|_| "?".into(), |n| n.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_with_examples() {
        let mut report = Report::default();
        let outcome = |status, code: Option<&str>| Outcome {
            status,
            topic: None,
            partition: None,
            offset: None,
            problem: code.map(|c| crate::client::Problem {
                code: Some(c.into()),
                detail: Some("d".into()),
                ..Default::default()
            }),
        };
        let all = [Status::Counted, Status::Accepted, Status::Duplicate, Status::Conflict, Status::Refused];
        all.iter().for_each(|s| report.add_outcome(br#"{"id":"r1"}"#, &outcome(*s, None)));
        for n in 0..1000 {
            report.add_outcome(b"{}", &outcome(Status::Refused, Some(&format!("c{}", n % 100))));
        }
        assert_eq!((report.sent, report.counted, report.accepted, report.duplicates), (1005, 1, 1, 1));
        assert_eq!(report.refused_total(), 1002);
        assert_eq!(report.refused["conflict"], Cases { count: 1, examples: vec!["r1: conflict".into()] });
        assert_eq!((report.refused["c0"].count, report.refused["c0"].examples.len()), (10, EXAMPLES));
        assert!(report.refused.len() <= CODES + 1);
    }
}
