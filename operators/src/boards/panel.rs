//! Pairwise votes of a panel: who is better than whom becomes each team's place among those that were compared.
//!
//! Of two teams the one with more votes wins. A team's *strength* is the share of its opponents that it wins against, a tie
//! counting half (Copeland's method); its score is the share of the other teams whose strength is less, equal ones
//! counting half: a percentile, in basis points. Both are integers, so that the same votes give the same board.

use std::collections::{BTreeMap, BTreeSet};

use gravity_events::Id;
use gravity_events::board::View;
use gravity_events::body::TeamRegistered;
use serde::{Deserialize, Serialize};

use super::fact::Fact as BoardFact;
use super::facts::{EventKey, Rows, Vote};
use super::rules::{Rules, SharedRules};
use super::score::is_hidden;
use super::teams::Fact;
use super::visible::Sight;
use crate::primitives::reduce::{Group, Memory, reduce_total};
use crate::scoring::operator::FULL_BP;

/// The dimension of votes that name none.
const USUAL: &str = "innovation";

/// A team's place in a dimension, in one view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// In whose eyes.
    pub view: View,
    /// The dimension voted on.
    pub dimension: Id,
    /// The share of the other teams that it is better than, in basis points.
    pub score_bp: i64,
}

/// The measure that operators find a place as.
pub fn measure(dimension: &str) -> Id {
    format!("panel.{dimension}").into()
}

/// The places of all teams that a view knows votes on.
pub fn places<'a>(
    rules: &Rules,
    teams: impl Iterator<Item = &'a TeamRegistered>,
    votes: &[&Vote],
    view: View,
) -> Vec<(Id, Place)> {
    let on_board = |team: &&TeamRegistered| {
        rules.main_group.as_ref().is_none_or(|main| team.groups.contains(main))
            && (view == View::Jury || !is_hidden(rules, team))
    };
    let teams: BTreeSet<&Id> = teams.filter(on_board).map(|team| &team.team).collect();
    let sight = if view == View::Public { Sight::public(rules) } else { Sight::jury(rules) };
    // By dimension and pair, the lesser id first: votes for the one less votes for the other.
    let mut pairs: BTreeMap<(&str, &Id, &Id), i64> = BTreeMap::new();
    for vote in votes {
        if vote.team == vote.over || !sight.knows(vote.time_ms) {
            continue;
        }
        let (Some(team), Some(over)) = (teams.get(&vote.team), teams.get(&vote.over)) else { continue };
        let dimension = vote.dimension.as_deref().unwrap_or(USUAL);
        let (pair, sign) = if team < over { ((dimension, *team, *over), 1) } else { ((dimension, *over, *team), -1) };
        *pairs.entry(pair).or_default() += sign;
    }
    // By dimension and team: won (a win counts two) and opponents.
    let mut strengths: BTreeMap<(&str, &Id), (i64, i64)> = BTreeMap::new();
    for ((dimension, one, other), margin) in pairs {
        for (team, won) in [(one, 1 + margin.signum()), (other, 1 - margin.signum())] {
            let strength = strengths.entry((dimension, team)).or_default();
            *strength = (strength.0 + won, strength.1 + 1);
        }
    }
    let mut by_dimension: BTreeMap<&str, Vec<(i64, &Id)>> = BTreeMap::new();
    for ((dimension, team), (won, opponents)) in strengths {
        by_dimension.entry(dimension).or_default().push((won * FULL_BP / (2 * opponents), team));
    }
    let mut places = Vec::new();
    for (dimension, mut teams) in by_dimension {
        teams.sort_unstable();
        let others = teams.len() as i64 - 1;
        let mut before = 0;
        for level in teams.chunk_by(|one, other| one.0 == other.0) {
            let doubled = 2 * before + level.len() as i64 - 1;
            let place = Place { view, dimension: dimension.into(), score_bp: doubled * FULL_BP / (2 * others.max(1)) };
            places.extend(level.iter().map(|(_, team)| ((*team).clone(), place.clone())));
            before += level.len() as i64;
        }
    }
    places
}

/// The same for both views, from the facts of one event.
pub fn places_of(rules: &Rules, facts: &[BoardFact]) -> Vec<(Id, Place)> {
    let votes: Vec<&Vote> =
        facts.iter().filter_map(|f| if let BoardFact::Vote(v) = f { Some(v) } else { None }).collect();
    if votes.is_empty() {
        return Vec::new();
    }
    let teams = facts.iter().filter_map(|f| if let BoardFact::Team(_, t) = f { Some(t) } else { None });
    let of = |view| places(rules, teams.clone(), &votes, view);
    [of(View::Public), of(View::Jury)].concat()
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Of {
    Rules(SharedRules),
    Team(TeamRegistered),
    Vote(Vote),
}

/// Places as facts of teams. A vote looks at all votes of its event: a panel casts thousands, not millions.
pub(super) fn panel<'s>(
    teams: Rows<'s, ((EventKey, Id), TeamRegistered)>,
    rules: Rows<'s, (EventKey, SharedRules)>,
    votes: Rows<'s, Vote>,
) -> Rows<'s, (u128, Fact)> {
    // Only teams that were compared: most events have no panel.
    let compared = votes.clone().flat_map(|v| [(v.event.clone(), v.team), (v.event, v.over)]).distinct_core::<i64>();
    let teams = teams.semijoin(compared).map(|((event, team), t)| (event, Of::Team(TeamRegistered { team, ..t })));
    let votes = votes.map(|vote| (vote.event.clone(), Of::Vote(vote)));
    let facts = rules.map(|(event, rules)| (event, Of::Rules(rules))).concatenate([teams, votes]);
    reduce_total(facts, "Panel", Memory::Keep, |event: &EventKey, group: Group<'_, Of>, said| {
        let (mut rules, mut teams, mut votes) = (None, Vec::new(), Vec::new());
        for of in group.iter() {
            match of {
                Of::Rules(shared) => rules = Some(shared),
                Of::Team(team) => teams.push(team),
                Of::Vote(vote) => votes.push(vote),
            }
        }
        let Some(rules) = rules.filter(|_| !votes.is_empty()) else { return };
        for view in [View::Public, View::Jury] {
            let of_view = places(rules, teams.iter().copied(), &votes, view);
            said.extend(of_view.into_iter().map(|(team, place)| (event.hash_of(&team), Fact::Place(place))));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places_of(votes: &[(&str, &str)]) -> BTreeMap<String, i64> {
        let teams: Vec<TeamRegistered> = ["a", "b", "c", "d"]
            .map(|team| TeamRegistered { team: team.into(), ..TeamRegistered::default() })
            .into_iter()
            .collect();
        let votes: Vec<Vote> = votes
            .iter()
            .map(|(team, over)| Vote { team: (*team).into(), over: (*over).into(), ..Vote::default() })
            .collect();
        let votes: Vec<&Vote> = votes.iter().collect();
        let places = places(&Rules::default(), teams.iter(), &votes, View::Jury);
        places.into_iter().map(|(team, place)| (team.to_string(), place.score_bp)).collect()
    }

    #[test]
    fn the_one_that_wins_against_more_is_ahead_of_more() {
        let all = [("a", "b"), ("a", "c"), ("b", "c"), ("b", "c"), ("c", "b")];
        assert_eq!(places_of(&all), BTreeMap::from([("a".into(), 10_000), ("b".into(), 5_000), ("c".into(), 0)]));
        // Nobody ahead of anybody.
        let circle = [("a", "b"), ("b", "c"), ("c", "a")];
        assert_eq!(places_of(&circle).values().copied().collect::<Vec<_>>(), [5_000; 3]);
    }

    #[test]
    fn votes_on_nobody_and_on_oneself_say_nothing() {
        assert_eq!(places_of(&[("a", "a"), ("a", "stranger")]), BTreeMap::new());
        assert_eq!(places_of(&[("a", "d")]), BTreeMap::from([("a".into(), 10_000), ("d".into(), 0)]));
    }
}
