//! Small contests, written down fact by fact, and the boards that come of them.

pub use std::collections::BTreeMap;

pub use gravity_events::Id;
pub use gravity_events::board::{BoardHeader, BoardKey, BoardRow, BoardValue, Cell, FirstSolve, View};
pub use gravity_events::body::{
    EventConfigured, EventExtended, GroupRegistered, JudgementTypePublished, Moment, OrganizationRegistered,
    ProblemPublished, TeamRegistered,
};
pub use gravity_operators::boards::facts::{EventKey, Judgement, MomentKind, RejudgingState, Submission};
pub use gravity_operators::harness::boards::{BoardScript, Fact, Said};
pub use gravity_operators::harness::oracle::accumulate;
pub use gravity_operators::harness::run::Run;

use super::super::random::{MINUTE, START};
use super::super::view;

pub fn event() -> EventKey {
    EventKey::new("t", "e")
}

pub fn config() -> EventConfigured {
    EventConfigured {
        duration_ms: Some(300 * MINUTE),
        freeze_duration_ms: Some(60 * MINUTE),
        penalty_ms: Some(20 * MINUTE),
        ..Default::default()
    }
}

pub fn moment(script: &mut BoardScript, kind: MomentKind, minute: i64) {
    let at = Some(START + minute * MINUTE);
    script.fact(Fact::Moment(event(), kind, Moment { at, contest_time_ms: None }));
}

/// A contest of five hours, frozen in the last, with problems P and Q and teams a and b.
pub fn contest() -> BoardScript {
    let mut script = BoardScript::default();
    script.fact(Fact::Config(event(), config()));
    moment(&mut script, MomentKind::Started, 0);
    for (id, penalty, solved) in [("AC", false, true), ("WA", true, false), ("CE", false, false), ("JE", false, false)]
    {
        let (penalty, solved) = (Some(penalty), Some(solved));
        let t = JudgementTypePublished { judgement_type: id.into(), penalty, solved, ..Default::default() };
        script.fact(Fact::JudgementType(event(), t));
    }
    for (ordinal, id) in [(0, "P"), (1, "Q")] {
        let (problem, label) = (id.into(), id.to_owned());
        script.fact(Fact::Problem(event(), ProblemPublished { problem, label, ordinal, ..Default::default() }));
    }
    team(&mut script, "a", &[]);
    team(&mut script, "b", &[]);
    script
}

pub fn team(script: &mut BoardScript, id: &str, groups: &[&str]) {
    let groups = groups.iter().map(|g| Id::from(*g)).collect();
    script.fact(Fact::Team(event(), TeamRegistered { team: id.into(), name: id.into(), groups, ..Default::default() }));
}

pub fn group(script: &mut BoardScript, id: &str, hidden: bool) {
    let (group, name) = (id.into(), id.to_owned());
    script.fact(Fact::Group(event(), GroupRegistered { group, name, hidden, ..Default::default() }));
}

/// Hands in; `at` is h:mm:ss.mmm in milliseconds. Ids count up from 1.
pub fn submit(script: &mut BoardScript, team: &str, problem: &str, at: i64) -> Id {
    let known = script.now().values().filter(|f| matches!(f, Fact::Submission(_))).count();
    let submission: Id = (known + 1).to_string().into();
    let (team, problem) = (team.into(), problem.into());
    let id = submission.clone();
    script.fact(Fact::Submission(Submission {
        event: event(),
        submission,
        team,
        problem,
        contest_time_ms: Some(at),
        time_ms: None,
        ..Submission::default()
    }));
    id
}

pub fn judgement(id: &str, submission: &str, verdict: &str, at: i64) -> Judgement {
    Judgement {
        event: event(),
        judgement: id.into(),
        submission: submission.into(),
        judgement_type: Some(verdict.into()),
        start_ms: Some(at),
        end_ms: Some(at),
        current: true,
        rejudging: None,
        ..Judgement::default()
    }
}

/// Hands in and judges at once.
pub fn judged(script: &mut BoardScript, team: &str, problem: &str, at: i64, verdict: &str) {
    let submission = submit(script, team, problem, at);
    script.fact(Fact::Judgement(judgement(&format!("j{submission}"), &submission, verdict, at)));
}

/// A whole board as it is once all facts of the script are in.
pub struct Board {
    pub said: Vec<Said>,
}

impl Board {
    pub fn of(script: &BoardScript) -> Self {
        let script = script.clone().end_epoch().epochs().to_vec();
        Board { said: accumulate(&Run::workers(1).drive(&script, view)).pop().expect("an epoch was closed") }
    }

    pub fn values(&self, view: View) -> impl Iterator<Item = (&BoardKey, &BoardValue)> {
        self.said.iter().filter_map(move |said| match said {
            Said::Change(v, key, value) if *v == view => Some((key, &**value)),
            _ => None,
        })
    }

    pub fn rows(&self, view: View) -> BTreeMap<&str, &BoardRow> {
        let rows = self.values(view).filter_map(|(key, value)| match (key, value) {
            (BoardKey::Row { team, .. }, BoardValue::Row(row)) => Some((team.as_str(), &**row)),
            _ => None,
        });
        rows.collect()
    }

    pub fn row(&self, team: &str) -> &BoardRow {
        self.rows(View::Public)[team]
    }

    pub fn cell(&self, team: &str, problem: &str) -> Cell {
        let cell = self.row(team).cells.iter().find(|c| c.problem == problem);
        cell.cloned().unwrap_or_else(|| Cell { problem: problem.into(), ..Default::default() })
    }

    pub fn firsts(&self, view: View) -> BTreeMap<&str, &FirstSolve> {
        let firsts = self.values(view).filter_map(|(key, value)| match (key, value) {
            (BoardKey::First { problem, .. }, BoardValue::First(first)) => Some((problem.as_str(), &**first)),
            _ => None,
        });
        firsts.collect()
    }

    pub fn header(&self) -> &BoardHeader {
        let mut headers = self.values(View::Public).filter_map(|(_, value)| match value {
            BoardValue::Header(header) => Some(header),
            _ => None,
        });
        headers.next().expect("a configured event has a header")
    }

    /// (solved, penalty) of a team on the public board.
    pub fn score(&self, team: &str) -> (u32, i64) {
        (self.row(team).solved, self.row(team).penalty)
    }
}

pub fn cell(problem: &str, judged: u32, pending: u32, solved_min: Option<i64>) -> Cell {
    Cell { problem: problem.into(), judged, pending, solved_min, score: None }
}
