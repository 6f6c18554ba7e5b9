//! Scripts for board views.

use std::collections::BTreeMap;

use differential_dataflow::VecCollection;
use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardValue, View};
use gravity_events::body::{
    EventConfigured, EventExtended, GroupRegistered, JudgementTypePublished, Moment, OrganizationRegistered,
    ProblemPublished, TeamRegistered,
};
use serde::{Deserialize, Serialize};

use super::run::Epoch;
use super::script::Script;
use crate::boards::facts::{BoardFacts, Change, EventKey, Judgement, MomentKind, RejudgingState, Rows, Submission};
use crate::boards::icpc::BoardViews;

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
        };
        (kind, event.clone(), id)
    }
}

/// A script of board facts.
pub type BoardScript = Script<FactKey, Fact>;

impl BoardScript {
    /// The object that `fact` is about is now this.
    pub fn fact(&mut self, fact: Fact) -> &mut Self {
        self.put(fact.key(), fact)
    }
}

/// Sorts a script's rows into the collections that a view takes.
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
    }
}

/// A row of any of the collections of [`BoardViews`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)] // as in BoardViews
pub enum Said {
    Change(View, BoardKey, Box<BoardValue>),
    Orphans(EventKey, i64),
    Error(EventKey, Id, String),
}

/// All that a view says, as one collection.
pub fn everything<'s>(views: BoardViews<'s>) -> Rows<'s, Said> {
    views.changes.map(|((view, key), value)| Said::Change(view, key, Box::new(value))).concatenate([
        views.orphans.map(|(event, n)| Said::Orphans(event, n)),
        views.errors.map(|(event, team, message)| Said::Error(event, team, message)),
    ])
}

/// The changes among what a view said in an epoch.
pub fn changes(epoch: &[(Said, i64)]) -> Vec<(Change, i64)> {
    let change = |(said, diff): &(Said, i64)| match said {
        Said::Change(view, key, value) => Some((((*view, key.clone()), (**value).clone()), *diff)),
        _ => None,
    };
    epoch.iter().filter_map(change).collect()
}

/// Panics unless in each epoch a (view, key) loses at most one value and gets at most one, another one.
pub fn assert_one_row_per_key(epochs: &[Epoch<Said>]) {
    for (epoch, said) in epochs.iter().enumerate() {
        let mut by_key: BTreeMap<(View, BoardKey), Vec<(i64, BoardValue)>> = BTreeMap::new();
        for ((key, value), diff) in changes(said) {
            by_key.entry(key).or_default().push((diff, value));
        }
        for (key, mut updates) in by_key {
            updates.sort();
            let fine = match &updates[..] {
                [(1 | -1, _)] => true,
                [(-1, old), (1, new)] => old != new,
                _ => false,
            };
            assert!(fine, "epoch {epoch}: {key:?} changes more than once, or by nothing: {updates:#?}");
        }
    }
}
