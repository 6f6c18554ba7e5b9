//! Answers to questions that need computing, as fixed as the event of the fixture.

use std::sync::Arc;

use gravity_events::body::{
    Body, JudgementRecorded, LanguagePublished, ProblemPublished, SubmissionReceived, TeamRegistered,
};
use gravity_events::publish::BoardsEpoch;
use gravity_events::query::{
    Asker, BoardQueries, Object, Objects, QueryError, Resolution, ScoreExplained, Supposition,
};
use gravity_events::{Id, Position, Topic, board::BoardValue};
use parking_lot::Mutex;

/// Shows the last snapshot it was given; a supposed record takes a point from every row.
#[derive(Default)]
pub struct FixedQueries {
    pub boards: Mutex<BoardsEpoch>,
}

impl BoardQueries for FixedQueries {
    fn boards(&self, _: &Id, suppose: &Supposition) -> Result<BoardsEpoch, QueryError> {
        let mut epoch = self.boards.lock().clone();
        epoch.snapshot = true;
        for body in &suppose.records {
            self.check(body)?;
            for change in &mut epoch.changes {
                if let Some(BoardValue::Row(row)) = &mut change.value {
                    let row = Arc::make_mut(row);
                    row.solved = row.solved.saturating_sub(1);
                }
            }
        }
        Ok(epoch)
    }

    fn explain(&self, event: &Id, submission: &Id, asker: &Asker) -> Result<ScoreExplained, QueryError> {
        if submission == "unknown" {
            return Err(QueryError::UnknownSubmission { event: event.clone(), submission: submission.clone() });
        }
        let why = match asker {
            Asker::Everybody => "as everybody knows it".into(),
            Asker::Team(team) => format!("as team {team} knows it"),
            Asker::Jury => "all of it".into(),
        };
        Ok(ScoreExplained { submission: submission.clone(), state: "counts", why, ..Default::default() })
    }

    fn resolve(&self, event: &Id, _: &dyn Fn(&str) -> Arc<[u8]>) -> Result<Resolution, QueryError> {
        Err(QueryError::Unresolvable { event: event.clone(), why: "7 submissions are not judged".into() })
    }

    fn check(&self, body: &Body) -> Result<(), QueryError> {
        match body {
            Body::RubricPublished(r) if r.dimensions.is_empty() => {
                Err(QueryError::Supposed { field: "dimensions".into(), problem: "have weights of 0 in sum".into() })
            }
            _ => Ok(()),
        }
    }

    fn objects(&self, _: &Id, public: bool) -> Result<Objects, QueryError> {
        let team = |id: &str, name: &str, hidden: bool| {
            Body::TeamRegistered(TeamRegistered {
                team: id.into(),
                name: name.into(),
                organization: Some("u".into()),
                groups: vec!["g1".into()],
                hidden,
                ..TeamRegistered::default()
            })
        };
        let problem = |id: &str, label: &str| {
            let name = format!("Problem {label}");
            Body::ProblemPublished(ProblemPublished {
                problem: id.into(),
                label: label.into(),
                name,
                ..Default::default()
            })
        };
        let mut bodies = vec![
            team("1", "First", false),
            team("10", "Tenth", false),
            team("3", "Third", false),
            problem("p1", "A"),
            problem("p2", "B"),
            Body::LanguagePublished(LanguagePublished {
                language: "rust".into(),
                name: "Rust".into(),
                ..Default::default()
            }),
            Body::SubmissionReceived(SubmissionReceived {
                submission: "s1".into(),
                team: "1".into(),
                problem: "p1".into(),
                contest_time_ms: Some(600_000),
                ..Default::default()
            }),
            Body::JudgementRecorded(JudgementRecorded {
                judgement: "j1".into(),
                submission: "s1".into(),
                start_contest_time_ms: Some(600_500),
                ..Default::default()
            }),
        ];
        if !public {
            bodies.push(team("2", "Secret Team", true));
        }
        let position = Position { topic: Topic::Reference, partition: 0, offset: 0 };
        let objects = bodies.into_iter().map(|body| Object { body, time_ms: None, position }).collect();
        Ok(Objects { objects, ..Objects::default() })
    }
}
