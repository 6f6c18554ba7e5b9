//! Scripts for board views.

use std::collections::BTreeMap;

use gravity_events::Id;
use gravity_events::board::{BoardKey, BoardValue, View};
use serde::{Deserialize, Serialize};

use super::run::Epoch;
use super::script::Script;
pub use crate::boards::fact::{Fact, FactKey, board_facts};
use crate::boards::facts::{Change, EventKey, Rows};
use crate::boards::view::BoardViews;

/// A script of board facts.
pub type BoardScript = Script<FactKey, Fact>;

impl BoardScript {
    /// The object that `fact` is about is now this.
    pub fn fact(&mut self, fact: Fact) -> &mut Self {
        self.put(fact.key(), fact)
    }
}

/// A row of any of the collections of [`BoardViews`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)] // as in BoardViews
pub enum Said {
    Change(View, BoardKey, Box<BoardValue>),
    Orphans(EventKey, i64),
    Error(EventKey, Id, String),
    Open(EventKey),
}

impl Said {
    /// The event that it is about.
    pub fn event(&self) -> EventKey {
        match self {
            Said::Change(_, key, _) => EventKey::new(key.event().0.clone(), key.event().1.clone()),
            Said::Orphans(event, _) | Said::Error(event, ..) | Said::Open(event) => event.clone(),
        }
    }
}

/// All that a view says, as one collection.
pub fn everything<'s>(views: BoardViews<'s>) -> Rows<'s, Said> {
    views.changes.map(|((view, key), value)| Said::Change(view, key, Box::new(value))).concatenate([
        views.orphans.map(|(event, n)| Said::Orphans(event, n)),
        views.errors.map(|(event, team, message)| Said::Error(event, team, message)),
        views.open.map(Said::Open),
    ])
}

/// All that the plain implementation says of the same facts.
pub fn expected(facts: &[Fact]) -> Vec<Said> {
    let plain = crate::plain::boards(facts);
    let changes = plain.changes.into_iter().map(|((view, key), value)| Said::Change(view, key, Box::new(value)));
    let orphans = plain.orphans.into_iter().map(|(event, n)| Said::Orphans(event, n));
    let faults = plain.faults.into_iter().map(|(event, rubric, text)| Said::Error(event, rubric, text));
    changes.chain(orphans).chain(faults).collect()
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
