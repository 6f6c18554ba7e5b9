//! Runs an operator for dimensions on recorded input: what its test, its golden file and `gravity operator run` go by.

use std::collections::{BTreeMap, BTreeSet};

use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardValue, View};
use gravity_events::body::{EventConfigured, ProblemPublished, Scoring, TeamRegistered, TestGroup};
use serde::Deserialize;
use serde_json::{Value, json};

use super::boards::{BoardScript, Said, changes, everything, expected};
use super::oracle::agree;
use super::run::{Epoch, Run};
use crate::boards::fact::{Fact, board_facts};
use crate::boards::facts::{EventKey, Judgement, Outcome, Rows, RubricText, Submission};
use crate::boards::view::boards;
use crate::scoring::explain::percent;
use crate::scoring::operator::Entry;

/// What is wrong with recorded input, or with the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// The line, from 1 on; 0: the parameters.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl std::fmt::Display for InputError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "the parameters: {}", self.problem),
            line => write!(f, "line {line}: {}", self.problem),
        }
    }
}

impl std::error::Error for InputError {}

/// A line of recorded input: what was measured of a submission. An empty line ends an epoch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Whose.
    team: Id,
    /// Which; a second line of the same one replaces the first.
    submission: Id,
    #[serde(default)]
    groups: Vec<TestGroup>,
    #[serde(default)]
    measures: BTreeMap<Id, i64>,
    /// Takes the submission's judgement back.
    #[serde(default)]
    deleted: bool,
}

fn view(rows: Rows<'_, Fact>) -> Rows<'_, Said> {
    everything(boards(board_facts(rows)))
}

/// A rubric board with this operator as its only dimension, fed with the input.
fn script(entry: &Entry, parameters: &Value, input: &str) -> Result<BoardScript, InputError> {
    (entry.build)(parameters).map_err(|problem| InputError { line: 0, problem })?;
    let event = EventKey::new("tenant", "event");
    let rubric = json!({"rubric": "rubric", "version": 1, "dimensions": [
        {"dimension": entry.name, "weight_bp": 10_000, "operator": entry.name, "parameters": parameters}]});
    let mut script = BoardScript::default();
    let config = EventConfigured { scoring: Scoring::Rubric, start_at: Some(0), ..EventConfigured::default() };
    script.fact(Fact::Config(event.clone(), config));
    script.fact(Fact::Problem(event.clone(), ProblemPublished { problem: "problem".into(), ..Default::default() }));
    script.fact(Fact::Rubric(event.clone(), "rubric".into(), 1, RubricText(rubric.to_string().into())));
    let mut order: Vec<Id> = Vec::new();
    for (n, text) in input.lines().enumerate() {
        if text.trim().is_empty() {
            script.end_epoch();
            continue;
        }
        let line = line(n, text)?;
        let at = order.iter().position(|s| *s == line.submission).unwrap_or_else(|| {
            order.push(line.submission.clone());
            order.len() - 1
        });
        let name = line.team.to_string();
        script.fact(Fact::Team(event.clone(), TeamRegistered { team: line.team.clone(), name, ..Default::default() }));
        script.fact(Fact::Submission(Submission {
            event: event.clone(),
            submission: line.submission.clone(),
            team: line.team,
            problem: "problem".into(),
            contest_time_ms: Some(at as i64 * 60_000),
            ..Submission::default()
        }));
        let judgement = Fact::Judgement(Judgement {
            event: event.clone(),
            judgement: line.submission.clone(),
            submission: line.submission,
            judgement_type: Some("AC".into()),
            current: true,
            outcome: Outcome::of(&line.groups, &line.measures),
            ..Judgement::default()
        });
        if line.deleted {
            script.remove(&judgement.key());
        } else {
            script.fact(judgement);
        }
    }
    script.end_epoch();
    Ok(script)
}

/// What was measured of the submissions of recorded input, as far as anything was.
pub fn outcomes(input: &str) -> Result<Vec<Outcome>, InputError> {
    let mut outcomes = Vec::new();
    for (n, text) in input.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let line = line(n, text)?;
        outcomes.extend(Outcome::of(&line.groups, &line.measures).map(std::sync::Arc::unwrap_or_clone));
    }
    Ok(outcomes)
}

fn line(n: usize, text: &str) -> Result<Line, InputError> {
    serde_json::from_str(text).map_err(|e| InputError { line: n + 1, problem: e.to_string() })
}

/// Runs the operator and tells, epoch by epoch, which teams lost a score (-) and got one (+).
pub fn run(entry: &Entry, parameters: &Value, input: &str) -> Result<String, InputError> {
    let script = script(entry, parameters, input)?;
    Ok(told(&Run::workers(2).drive(script.epochs(), view)))
}

/// The same, and panics unless the scores are those of a computation from scratch after every epoch, over 1, 2 and 3
/// workers: the test that every operator gets.
pub fn check(entry: &Entry, parameters: &Value, input: &str) -> Result<String, InputError> {
    let script = script(entry, parameters, input)?;
    Ok(told(&agree(script.epochs(), view, expected)))
}

fn told(epochs: &[Epoch<Said>]) -> String {
    let mut out = String::new();
    for (n, epoch) in epochs.iter().enumerate() {
        out.push_str(&format!("epoch {}\n", n + 1));
        let mut lines: BTreeSet<(Id, i64, String)> = BTreeSet::new();
        for (((view, key), value), diff) in changes(epoch) {
            let (View::Jury, BoardKey::Row { team, .. }, BoardValue::Row(row)) = (view, key, value) else { continue };
            let score = row.points.as_ref().and_then(|p| p.dimensions.first()).and_then(|(_, score)| *score);
            let score = score.map_or("pending".into(), percent);
            // A row may change in something else than its score.
            if !lines.remove(&(team.clone(), -diff, score.clone())) {
                lines.insert((team, diff, score));
            }
        }
        for (team, diff, score) in lines {
            out.push_str(&format!("  {team} {} {score}\n", if diff < 0 { '-' } else { '+' }));
        }
    }
    out
}
