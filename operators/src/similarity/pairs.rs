//! Pairs of teams whose sources are alike, incrementally, over an inverted index.
//!
//! Only the last source of a team in each scope takes part, so that the state is bounded by teams x problems: some 150 bytes
//! for each of its fingerprints. A new source touches its own fingerprints and the pairs that share one: cost follows matches,
//! and a fingerprint that more than `common` teams have (boilerplate that nobody declared) is no match at all.

use std::sync::Arc;

use differential_dataflow::Hashable;
use gravity_events::Id;
use serde::{Deserialize, Serialize};

use super::fingerprint::share_bp;
use crate::boards::facts::{EventKey, Rows};
use crate::primitives::complete_times::Out;
use crate::primitives::extreme::least;
use crate::primitives::reduce::{Group, GroupKey, Memory, reduce_states};

/// Sources are compared within a scope only.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The event.
    pub event: EventKey,
    /// The problem.
    pub problem: Id,
    /// Languages that are compared with each other share a name.
    pub language: Id,
}

/// A team's source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Where it belongs.
    pub scope: Scope,
    /// Whose.
    pub team: Id,
    /// The submission.
    pub submission: Id,
    /// When it was handed in; the last one of a team takes part.
    pub at_ms: i64,
    /// Its fingerprints, sorted, each once.
    pub fingerprints: Arc<[u64]>,
}

/// What is given to everybody, and counts for nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Template {
    /// Where it belongs.
    pub scope: Scope,
    /// Its id.
    pub template: Id,
    /// Its fingerprints.
    pub fingerprints: Arc<[u64]>,
}

/// When two sources are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A fingerprint that more teams than this have is dropped.
    pub common: usize,
    /// Least containment, in basis points.
    pub containment_bp: u32,
    /// Least number of shared fingerprints: small programs are alike by chance.
    pub shared: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { common: 12, containment_bp: 7_000, shared: 12 }
    }
}

/// Two teams whose sources are alike, the lesser name first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// Where.
    pub scope: Scope,
    /// One team and its submission.
    pub left: (Id, Id),
    /// The other.
    pub right: (Id, Id),
    /// Fingerprints that they share.
    pub shared: u32,
    /// How much of the smaller one is in the other, in basis points.
    pub containment_bp: u32,
}

impl GroupKey for (Scope, Id) {
    fn route(&self) -> u64 {
        self.hashed()
    }
}

impl GroupKey for (Scope, u64) {
    fn route(&self) -> u64 {
        // Fingerprints are mixed already.
        self.1
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Fact {
    Template,
    Team(Id),
}

/// What is known of one fingerprint: the teams that have it, where it counts.
#[derive(Default, PartialEq)]
struct Holders {
    scope: Scope,
    teams: Vec<Id>,
}

/// The pairs that are alike.
pub fn pairs<'s>(sources: Rows<'s, Source>, templates: Rows<'s, Template>, limits: Limits) -> Rows<'s, Pair> {
    let by_team =
        sources.map(|s| ((s.scope.clone(), s.team.clone()), std::cmp::Reverse((s.at_ms, s.submission.clone(), s))));
    let latest = least(by_team, "LatestSources").map(|(_, std::cmp::Reverse((_, _, source)))| source);
    let held = latest.clone().flat_map(|s| {
        let (scope, team, fingerprints) = (s.scope, s.team, s.fingerprints);
        (0..fingerprints.len()).map(move |n| ((scope.clone(), fingerprints[n]), Fact::Team(team.clone())))
    });
    let given = templates.flat_map(|t| {
        let (scope, fingerprints) = (t.scope, t.fingerprints);
        (0..fingerprints.len()).map(move |n| ((scope.clone(), fingerprints[n]), Fact::Template))
    });
    let compute = move |key: &(Scope, u64), group: Group<'_, Fact>| holders(&key.0, group, limits.common);
    let index = held.concat(given);
    let (shared, sizes) = reduce_states(index, "Fingerprints", Memory::Keep, compute, differ);
    let sizes = sizes.count_core::<i64>();
    let named = latest.map(|s| ((s.scope, s.team), s.submission));
    let sized = sizes.join_map(named, |key, size, submission| (key.clone(), (*size, submission.clone())));
    let least_shared = i64::from(limits.shared);
    shared
        .count_core::<i64>()
        .filter(move |(_, shared)| *shared >= least_shared)
        .map(|((scope, left, right), shared)| ((scope, left), (right, shared)))
        .join_map(sized.clone(), |(scope, left), (right, shared), (size, submission)| {
            ((scope.clone(), right.clone()), (left.clone(), submission.clone(), *shared, *size))
        })
        .join_map(sized, |(scope, right), (left, left_submission, shared, left_size), (right_size, submission)| {
            let whole = (*left_size).min(*right_size);
            Pair {
                scope: scope.clone(),
                left: (left.clone(), left_submission.clone()),
                right: (right.clone(), submission.clone()),
                shared: u32::try_from(*shared).unwrap_or(u32::MAX),
                containment_bp: share_bp(shared.unsigned_abs(), whole.unsigned_abs()),
            }
        })
        .filter(move |pair| pair.containment_bp >= limits.containment_bp)
        // The joins say things and take them back within an epoch.
        .consolidate()
}

fn holders(scope: &Scope, group: Group<'_, Fact>, common: usize) -> Holders {
    let mut teams = Vec::new();
    for fact in group.iter() {
        match fact {
            Fact::Template => return Holders::default(),
            Fact::Team(team) => teams.push(team.clone()),
        }
    }
    if teams.len() > common {
        return Holders::default();
    }
    Holders { scope: scope.clone(), teams }
}

/// Pairs that share the fingerprint, and teams of whose size it is a part: what both lose and get. Only pairs with a team
/// that came or went are looked at.
fn differ(old: Holders, new: &Holders, out: Out<'_, (Scope, Id, Id), (Scope, Id)>) {
    for (of, other, diff) in [(&old, new, -1), (new, &old, 1)] {
        let moved: Vec<bool> = of.teams.iter().map(|team| other.teams.binary_search(team).is_err()).collect();
        for (n, left) in of.teams.iter().enumerate() {
            if moved[n] {
                (out.side)((of.scope.clone(), left.clone()), diff);
            }
            for (m, right) in of.teams.iter().enumerate().skip(n + 1) {
                if moved[n] || moved[m] {
                    (out.main)((of.scope.clone(), left.clone(), right.clone()), diff);
                }
            }
        }
    }
}
