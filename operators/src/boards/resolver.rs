//! The ceremony that reveals a frozen board from the bottom, one cell at a time (as ICPC's resolver does).
//!
//! From the last row upward: reveal the row's leftmost hidden problem; if the team moves up, go on with the row that is
//! now at this place; else its next hidden problem, else the row above. No team moves down by its own reveal, and the
//! last state is the jury's board.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use gravity_events::board::BoardRow;
use gravity_events::body::{Scoring, Selection, TeamRegistered};
use gravity_events::query::{QueryError, Resolution, ResolutionStep};
use gravity_events::{Id, natural_cmp};

use super::attempts::{Attempt, attempt};
use super::fact::Fact;
use super::facts::{Correction, EventKey, Judgement, RejudgingState, Submission};
use super::panel::{Place, places_of};
use super::rules::Rules;
use super::score::{Team, differ, is_hidden, score_sight};
use super::visible::Sight;
use crate::primitives::natural::NaturalId;

/// Sort key of a name, so that equal rows stand as the board lists them.
pub type NameKey<'a> = &'a dyn Fn(&str) -> Arc<[u8]>;

struct Contestant<'a> {
    registered: &'a TeamRegistered,
    organization: Option<&'a str>,
    attempts: Vec<Attempt>,
    selected: Vec<NaturalId>,
    corrections: Vec<Correction>,
    places: Vec<Place>,
    /// By place: what was hidden has been shown.
    revealed: Vec<bool>,
    corrected: bool,
    name_key: Arc<[u8]>,
    row: BoardRow,
}

impl Contestant<'_> {
    fn score(&self, rules: &Rules) -> BoardRow {
        let sight = Sight::public(rules).with_revealed(&self.revealed, self.corrected);
        let selected: Vec<&NaturalId> = self.selected.iter().collect();
        let corrections: Vec<&Correction> = self.corrections.iter().collect();
        let places: Vec<&Place> = self.places.iter().collect();
        let attempts: Vec<&Attempt> = self.attempts.iter().collect();
        let team = Team {
            registered: self.registered,
            organization: self.organization,
            selected: &selected,
            corrections: &corrections,
            places: &places,
        };
        score_sight(sight, team, false, &attempts).map(|score| BoardRow::clone(&score.row)).unwrap_or_default()
    }

    /// The leftmost problem with something hidden.
    fn next_hidden(&self, rules: &Rules) -> Option<usize> {
        let sight = Sight::public(rules);
        let hidden = |a: &Attempt| {
            let at_ms = rules.contest_time_ms(a.when).filter(|at| rules.in_contest(*at) && sight.hides(*at));
            at_ms.and_then(|_| rules.place(a.problem))
        };
        self.attempts.iter().filter_map(hidden).filter(|place| !self.revealed[*place]).min()
    }

    fn has_hidden_correction(&self, rules: &Rules) -> bool {
        let sight = Sight::public(rules);
        let places: Vec<&Place> = self.places.iter().collect();
        !self.corrected && (differ(&places) || self.corrections.iter().any(|c| !sight.corrects(c)))
    }

    fn order(&self, other: &Self) -> Ordering {
        let by_score = self.row.rank_cmp(&other.row).then_with(|| self.name_key.cmp(&other.name_key));
        by_score.then_with(|| natural_cmp(&self.registered.team, &other.registered.team))
    }
}

/// The steps of the ceremony. Refuses while anything is unjudged, on boards where others' reveals move a team (values that
/// fall, private splits), and where a team could fall by its own (`last` and `chosen` submissions).
pub fn resolve(event: &EventKey, facts: &[Fact], name_key: NameKey<'_>) -> Result<Resolution, QueryError> {
    let rules = Rules::of(facts).ok_or_else(|| QueryError::UnknownEvent(event.event.clone()))?;
    let refuse = |why: &str| Err(QueryError::Unresolvable { event: event.event.clone(), why: why.to_owned() });
    match rules.header.scoring {
        Scoring::Icpc | Scoring::Ioi => {}
        Scoring::Rubric if rules.board.selection == Selection::Best => {}
        Scoring::Rubric => return refuse("a team could fall by its own reveal where not its best submission counts"),
        Scoring::Ctf => return refuse("what is revealed of one team changes what others' solves are worth"),
        Scoring::Kaggle => return refuse("the private split is revealed as a whole"),
    }
    let mut contestants = contestants(&rules, facts, name_key);
    let unjudged = unjudged(&rules, &contestants);
    if !unjudged.is_empty() {
        let some: Vec<&str> = unjudged.iter().take(10).map(Id::as_str).collect();
        return refuse(&format!("{} submissions are not judged, such as {}", unjudged.len(), some.join(", ")));
    }
    contestants.sort_by(Contestant::order);
    let order = |all: &[Contestant<'_>]| all.iter().map(|c| c.registered.team.clone()).collect();
    let start: Vec<Id> = order(&contestants);
    let mut steps = Vec::new();
    let mut place = contestants.len();
    while place > 0 {
        let at = place - 1;
        let problem = if contestants[at].has_hidden_correction(&rules) {
            contestants[at].corrected = true;
            None
        } else if let Some(hidden) = contestants[at].next_hidden(&rules) {
            contestants[at].revealed[hidden] = true;
            Some(rules.header.problems[hidden].problem.clone())
        } else {
            place -= 1;
            continue;
        };
        let mut moved = contestants.remove(at);
        let before = std::mem::take(&mut moved.row);
        moved.row = moved.score(&rules);
        debug_assert!(problem.is_none() || moved.row.rank_cmp(&before).is_le(), "nobody falls by an own reveal");
        let to = contestants.partition_point(|other| other.order(&moved).is_lt());
        let of = |row: &BoardRow, problem: &Id| row.cells.iter().find(|c| c.problem == *problem).cloned();
        steps.push(ResolutionStep {
            team: moved.registered.team.clone(),
            solved: problem.as_ref().is_some_and(|p| of(&moved.row, p).is_some_and(|c| c.solved_min.is_some())),
            cell: problem.as_ref().and_then(|p| of(&moved.row, p)),
            problem,
            from: at + 1,
            to: to + 1,
            score: moved.row.score(),
            penalty: moved.row.penalty,
        });
        contestants.insert(to, moved);
        // A correction may take points away: whoever fell is met again further down.
        place = place.max(to + 1);
    }
    Ok(Resolution { event: event.event.clone(), start, steps, end: order(&contestants) })
}

fn contestants<'a>(rules: &Rules, facts: &'a [Fact], name_key: NameKey<'_>) -> Vec<Contestant<'a>> {
    let mut organizations = BTreeMap::new();
    let mut applied = Vec::new();
    let mut judgements: BTreeMap<&Id, Vec<Judgement>> = BTreeMap::new();
    let mut submissions: BTreeMap<&Id, Vec<&Submission>> = BTreeMap::new();
    let mut selected: BTreeMap<&Id, Vec<NaturalId>> = BTreeMap::new();
    let mut corrections: BTreeMap<&Id, Vec<Correction>> = BTreeMap::new();
    for fact in facts {
        match fact {
            Fact::Organization(_, o) => drop(organizations.insert(&o.organization, o.name.as_str())),
            Fact::Rejudging(_, r, RejudgingState::Applied) => applied.push(r),
            Fact::Judgement(j) => judgements.entry(&j.submission).or_default().push(j.clone()),
            Fact::Submission(s) => submissions.entry(&s.team).or_default().push(s),
            Fact::Selection(_, s, team) => selected.entry(team).or_default().push(NaturalId(s.clone())),
            Fact::Correction(c) => corrections.entry(&c.team).or_default().push(c.clone()),
            _ => {}
        }
    }
    let mut places: BTreeMap<Id, Vec<Place>> = BTreeMap::new();
    for (team, place) in places_of(rules, facts) {
        places.entry(team).or_default().push(place);
    }
    let is_applied = |r: &Id| applied.contains(&r);
    let mut all = Vec::new();
    for fact in facts {
        let Fact::Team(_, registered) = fact else { continue };
        let on_board = rules.main_group.as_ref().is_none_or(|main| registered.groups.contains(main));
        if !on_board || is_hidden(rules, registered) || registered.out_of_competition {
            continue;
        }
        let of_team = submissions.get(&registered.team).map(Vec::as_slice).unwrap_or_default();
        let mut attempts: Vec<Attempt> = of_team
            .iter()
            .map(|s| attempt((*s).clone(), judgements.remove(&s.submission).unwrap_or_default(), &is_applied).0)
            .collect();
        attempts.sort();
        let shown = registered.display_name.as_deref().filter(|name| !name.is_empty());
        let mut contestant = Contestant {
            registered,
            organization: registered.organization.as_ref().and_then(|o| organizations.get(o).copied()),
            attempts,
            selected: selected.remove(&registered.team).unwrap_or_default(),
            corrections: corrections.remove(&registered.team).unwrap_or_default(),
            places: places.remove(&registered.team).unwrap_or_default(),
            revealed: vec![false; rules.header.problems.len()],
            corrected: false,
            name_key: name_key(shown.unwrap_or(&registered.name)),
            row: BoardRow::default(),
        };
        contestant.row = contestant.score(rules);
        all.push(contestant);
    }
    all
}

/// Submissions that count and have no verdict.
fn unjudged(rules: &Rules, contestants: &[Contestant<'_>]) -> Vec<Id> {
    let jury = Sight::jury(rules);
    let of = |c: &Contestant<'_>| {
        let pending = c.attempts.iter().filter(|a| {
            let at_ms = rules.contest_time_ms(a.when).filter(|at| rules.in_contest(*at));
            rules.place(a.problem).is_some()
                && at_ms.is_some_and(|at| jury.effect(at, a) == super::rules::Effect::Pending)
        });
        pending.map(|a| a.submission.0.clone()).collect::<Vec<_>>()
    };
    contestants.iter().flat_map(of).collect()
}
