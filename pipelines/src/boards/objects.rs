//! The objects of an event as the Contest API shows them: the latest state of each, and of those only what a caller may
//! know. The same rules as on boards: what is hidden there does not exist here.

use std::collections::{HashMap, HashSet};

use gravity_events::query::{Object, Objects};
use gravity_events::{Body, Id};
use gravity_operators::boards::attempts::When;
use gravity_operators::boards::fact::Fact;
use gravity_operators::boards::facts::RejudgingState;
use gravity_operators::boards::rules::Rules;
use gravity_operators::boards::score::is_hidden;
use gravity_operators::boards::visible::Sight;

use super::facts;
use super::store::{EventRows, RowKey, RowValue};

/// The objects of an event; with `public` only what everybody may know.
pub fn objects(rows: &EventRows, public: bool) -> Objects {
    let gone = rows.rows.iter().filter(|(_, (value, _))| value.is_none()).filter_map(|((fold, key), (_, position))| {
        let (collection, id) = facts::collection_of(*fold, key)?;
        (!public || collection != "judgements").then_some((collection, id, *position))
    });
    let decides =
        |((fold, key), (_, position)): &(RowKey, RowValue)| facts::decides_visibility(*fold, key).then_some(*position);
    Objects {
        epoch: rows.epoch,
        objects: visible(rows, public),
        gone: gone.collect(),
        bound: rows.bound.iter().map(|b| (b.topic, b.partition, b.offset)).collect(),
        visibility: rows.rows.iter().filter_map(decides).collect(),
    }
}

fn visible(rows: &EventRows, public: bool) -> Vec<Object> {
    let mut sorted: Vec<_> = rows.live().collect();
    sorted.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let all = sorted.iter().filter_map(|(fold, key, value, position)| {
        let (body, time_ms) = facts::object_of(*fold, key, value)?;
        Some(Object { body, time_ms, position: *position })
    });
    if !public {
        return all.collect();
    }
    let known: Vec<Fact> = rows.live().filter_map(|(fold, key, value, _)| facts::fact_of(fold, key, value)).collect();
    let Some(rules) = Rules::of(&known) else { return Vec::new() };
    let shown = Shown::of(&rules, &known);
    all.filter_map(|object| shown.take(object)).collect()
}

/// What the public may know.
struct Shown<'a> {
    rules: &'a Rules,
    teams: HashSet<&'a Id>,
    /// Submissions whose verdicts are known.
    judged: HashSet<&'a Id>,
    /// What has become of rejudgings.
    applied: HashMap<&'a Id, bool>,
}

impl<'a> Shown<'a> {
    fn of(rules: &'a Rules, known: &'a [Fact]) -> Self {
        let mut shown = Shown { rules, teams: HashSet::new(), judged: HashSet::new(), applied: HashMap::new() };
        for fact in known {
            match fact {
                Fact::Team(_, team) if !is_hidden(rules, team) => _ = shown.teams.insert(&team.team),
                Fact::Rejudging(_, id, state) => _ = shown.applied.insert(id, *state == RejudgingState::Applied),
                _ => {}
            }
        }
        let sight = Sight::public(rules);
        for fact in known {
            let Fact::Submission(s) = fact else { continue };
            let when = match (s.contest_time_ms, s.time_ms) {
                (Some(ms), _) => When::Contest(ms),
                (None, Some(ms)) => When::Clock(ms),
                (None, None) => When::Unknown,
            };
            // One whose time nobody knows counts as handed in after the freeze.
            let told = rules.contest_time_ms(when).map_or(rules.hidden_from_ms().is_none(), |at| !sight.hides(at));
            if told && shown.teams.contains(&s.team) {
                shown.judged.insert(&s.submission);
            }
        }
        shown
    }

    fn take(&self, mut object: Object) -> Option<Object> {
        let shown = match &mut object.body {
            Body::TeamRegistered(team) => {
                team.groups.retain(|g| self.rules.hides(g) == Some(false));
                self.teams.contains(&team.team)
            }
            Body::GroupRegistered(group) => !group.hidden,
            Body::SubmissionReceived(s) => self.teams.contains(&s.team),
            Body::JudgementRecorded(j) => {
                let waits = j.rejudging.as_ref().is_some_and(|r| self.applied.get(r) != Some(&true));
                !waits && self.judged.contains(&j.submission)
            }
            // What is worked on is not told before the start.
            Body::ProblemPublished(_) => self.rules.header.started_at_ms.is_some(),
            Body::RubricPublished(_) | Body::EventConfigured(_) | Body::EventExtended(_) => false,
            _ => true,
        };
        shown.then_some(object)
    }
}
