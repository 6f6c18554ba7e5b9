//! Facts of all kinds as one type: what a script, a recording or an event's folds hold.

use differential_dataflow::VecCollection;
use gravity_events::Id;
use gravity_events::body::{
    EventConfigured, EventExtended, GroupRegistered, JudgementTypePublished, Moment, OrganizationRegistered,
    ProblemPublished, TeamRegistered,
};
use serde::{Deserialize, Serialize};

use super::facts::{
    BoardFacts, Correction, EventKey, Judgement, MomentKind, RejudgingState, RubricText, Submission, Vote,
};

/// A row of any of the collections of [`BoardFacts`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)] // as in BoardFacts
pub enum Fact {
    Config(EventKey, EventConfigured),
    Extension(EventKey, EventExtended),
    Moment(EventKey, MomentKind, Moment),
    Team(EventKey, TeamRegistered),
    Group(EventKey, GroupRegistered),
    Organization(EventKey, OrganizationRegistered),
    Problem(EventKey, ProblemPublished),
    JudgementType(EventKey, JudgementTypePublished),
    Submission(Submission),
    Judgement(Judgement),
    Rejudging(EventKey, Id, RejudgingState),
    Rubric(EventKey, Id, u64, RubricText),
    /// (event, submission, team)
    Selection(EventKey, Id, Id),
    Correction(Correction),
    Vote(Vote),
    /// (event, operator, reason)
    Quarantine(EventKey, Id, String),
}

/// Which object a fact is about: kind, event, id.
pub type FactKey = (u8, EventKey, Id);

impl Fact {
    /// What it is about.
    pub fn key(&self) -> FactKey {
        let (kind, event, id) = match self {
            Fact::Config(e, _) => (0, e, Id::default()),
            Fact::Extension(e, _) => (1, e, Id::default()),
            Fact::Moment(e, kind, _) => (2 + *kind as u8, e, Id::default()),
            Fact::Team(e, t) => (10, e, t.team.clone()),
            Fact::Group(e, g) => (11, e, g.group.clone()),
            Fact::Organization(e, o) => (12, e, o.organization.clone()),
            Fact::Problem(e, p) => (13, e, p.problem.clone()),
            Fact::JudgementType(e, t) => (14, e, t.judgement_type.clone()),
            Fact::Submission(s) => (15, &s.event, s.submission.clone()),
            Fact::Judgement(j) => (16, &j.event, j.judgement.clone()),
            Fact::Rejudging(e, r, _) => (17, e, r.clone()),
            Fact::Rubric(e, r, version, _) => (18, e, format!("{r}/{version}").into()),
            Fact::Selection(e, submission, _) => (19, e, submission.clone()),
            Fact::Correction(c) => (20, &c.event, format!("{}/{}", c.team, c.id).into()),
            Fact::Vote(v) => (21, &v.event, v.vote.clone()),
            Fact::Quarantine(e, operator, _) => (22, e, operator.clone()),
        };
        (kind, event.clone(), id)
    }
}

/// Sorts facts into the collections that a view takes.
pub fn board_facts<'s>(rows: VecCollection<'s, u64, Fact, i64>) -> BoardFacts<'s> {
    macro_rules! only {
        ($pattern:pat => $row:expr) => {
            rows.clone().flat_map(|fact| match fact {
                $pattern => Some($row),
                _ => None,
            })
        };
    }
    BoardFacts {
        configs: only!(Fact::Config(e, c) => (e, c)),
        extensions: only!(Fact::Extension(e, x) => (e, x)),
        moments: only!(Fact::Moment(e, kind, m) => ((e, kind), m)),
        teams: only!(Fact::Team(e, t) => ((e, t.team.clone()), t)),
        groups: only!(Fact::Group(e, g) => ((e, g.group.clone()), g)),
        organizations: only!(Fact::Organization(e, o) => ((e, o.organization.clone()), o)),
        problems: only!(Fact::Problem(e, p) => ((e, p.problem.clone()), p)),
        judgement_types: only!(Fact::JudgementType(e, t) => ((e, t.judgement_type.clone()), t)),
        submissions: only!(Fact::Submission(s) => s),
        judgements: only!(Fact::Judgement(j) => j),
        rejudgings: only!(Fact::Rejudging(e, r, state) => ((e, r), state)),
        rubrics: only!(Fact::Rubric(e, r, version, text) => ((e, r, version), text)),
        selections: only!(Fact::Selection(e, submission, team) => ((e, submission), team)),
        corrections: only!(Fact::Correction(c) => c),
        votes: only!(Fact::Vote(v) => v),
        quarantines: only!(Fact::Quarantine(e, operator, reason) => ((e, operator), reason)),
    }
}
