//! One team's score, as a pure function, by the kind of board. The public's and the jury's differ in what they may know.

mod ctf;
mod icpc;
mod ioi;
mod kaggle;
mod points;
mod rubric;
mod tally;

use std::rc::Rc;
use std::sync::Arc;

use gravity_events::board::{BoardRow, View};
use gravity_events::body::{Scoring, TeamRegistered};
use gravity_events::{Id, natural_cmp};
use smallvec::SmallVec;

pub use ctf::with_worth;
pub use rubric::{Choice, Explained, chosen, explain, with_places};

use super::attempts::Attempt;
use super::facts::Correction;
use super::panel::Place;
use super::rules::Rules;
use super::visible::Sight;
use crate::primitives::natural::NaturalId;

/// A team as the scoring sees it.
#[derive(Clone, Copy, Debug)]
pub struct Team<'a> {
    /// Its registration.
    pub registered: &'a TeamRegistered,
    /// Its organization's name, where the organization is known.
    pub organization: Option<&'a str>,
    /// Submissions that it chose.
    pub selected: &'a [&'a NaturalId],
    /// Hints and adjustments.
    pub corrections: &'a [&'a Correction],
    /// Places in the votes of a panel, of both views.
    pub places: &'a [&'a Place],
}

/// An accepted submission that counts: the team's first on its problem. Solves sort by contest time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Solve {
    /// When.
    pub contest_time_ms: i64,
    /// By which submission.
    pub submission: NaturalId,
    /// Which problem.
    pub problem: Id,
}

/// What a team contributes to one view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewScore {
    /// Its row.
    pub row: Arc<BoardRow>,
    /// Its candidates for first to solve, sorted; none for a team whose solves nobody is told of.
    pub solves: Vec<Solve>,
    /// The row still lacks what the solved problems are worth, which other teams decide, too.
    pub lacks_worth: bool,
    /// Submissions that an operator failed at.
    pub faults: Vec<Fault>,
}

/// That an operator gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Contest time of the submission.
    pub at_ms: i64,
    /// The submission.
    pub submission: Id,
    /// The operator.
    pub operator: Id,
    /// Its message, and what it was given, as JSON; none where it was not called: that is said of the event.
    pub panic: Option<(String, String)>,
}

/// What a team contributes to its event's boards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeamScore {
    /// For everybody; none for a hidden team.
    pub public: Option<Rc<ViewScore>>,
    /// For judges; none for a team outside the main group. The same allocation where the views agree.
    pub jury: Option<Rc<ViewScore>>,
}

impl TeamScore {
    /// What operators failed at, with the input of the first: for whoever mends them.
    pub fn fault_text(&self) -> Option<String> {
        let faults = &self.jury.as_ref().or(self.public.as_ref())?.faults;
        let panics = || faults.iter().filter_map(|fault| Some((fault, fault.panic.as_ref()?)));
        let (first, (message, input)) = panics().min_by_key(|(fault, _)| fault.at_ms)?;
        let others = match panics().count() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let Fault { submission, operator, .. } = first;
        Some(format!("`{operator}` failed at submission `{submission}`{others}: {message}; it was given {input}"))
    }

    /// Whether both views are known to be the same without looking into them.
    pub fn views_agree(&self) -> bool {
        match (&self.public, &self.jury) {
            (Some(public), Some(jury)) => Rc::ptr_eq(public, jury),
            (None, None) => true,
            _ => false,
        }
    }
}

/// An attempt that counts, with its contest time.
pub type Counted<'a> = (i64, &'a Attempt);

/// Scores a team from its attempts, in any order; in the order of [`Attempt`] it is fastest. Attempts at unknown
/// problems, without a known time, or outside the contest count for nothing.
pub fn score_team(rules: &Rules, team: Team<'_>, attempts: &[&Attempt]) -> TeamScore {
    let registered = team.registered;
    if rules.main_group.as_ref().is_some_and(|main| !registered.groups.contains(main)) {
        return TeamScore::default();
    }
    let hidden = is_hidden(rules, registered);
    let counted = counted(rules, attempts);
    let (public_sight, jury_sight) = (Sight::public(rules), Sight::jury(rules));
    let score = |sight: Sight<'_>| score_view(sight, team, hidden, &counted).map(Rc::new);
    let public = if hidden { None } else { score(public_sight) };
    let censored = counted.last().is_some_and(|(at, _)| public_sight.hides(*at))
        || team.corrections.iter().any(|c| !public_sight.corrects(c))
        || (rules.header.scoring == Scoring::Kaggle && !public_sight.private())
        || differ(team.places);
    // Where nothing was taken away the views agree.
    let jury = if hidden || censored { score(jury_sight) } else { public.clone() };
    TeamScore { public, jury }
}

/// Whether the views know different places.
pub(super) fn differ(places: &[&Place]) -> bool {
    let of = |view: View| places.iter().filter(move |p| p.view == view).map(|p| (&p.dimension, p.score_bp));
    !of(View::Public).eq(of(View::Jury))
}

/// Whether a team is never on a public board: by itself, or by one of its groups.
pub fn is_hidden(rules: &Rules, team: &TeamRegistered) -> bool {
    team.hidden || team.groups.iter().any(|g| rules.hides(g) == Some(true))
}

/// A team's score as one sight of the event gives it.
pub fn score_sight(sight: Sight<'_>, team: Team<'_>, hidden: bool, attempts: &[&Attempt]) -> Option<ViewScore> {
    score_view(sight, team, hidden, &counted(sight.rules(), attempts))
}

/// The attempts that count, by contest time, then natural id.
pub fn counted<'a>(rules: &Rules, attempts: &[&'a Attempt]) -> SmallVec<[(i64, &'a Attempt); 32]> {
    let mut counted: SmallVec<[Counted<'a>; 32]> = SmallVec::new();
    let contest_time = |a: &Attempt| rules.contest_time_ms(a.when).filter(|at| rules.in_contest(*at));
    counted.extend(attempts.iter().filter_map(|a| contest_time(a).map(|at| (at, *a))));
    if !counted.is_sorted_by(|a, b| (a.0, &a.1.submission) <= (b.0, &b.1.submission)) {
        counted.sort_by(|a, b| (a.0, &a.1.submission).cmp(&(b.0, &b.1.submission)));
    }
    counted
}

fn score_view(sight: Sight<'_>, team: Team<'_>, hidden: bool, counted: &[Counted<'_>]) -> Option<ViewScore> {
    let row = name_row(sight.rules(), team, hidden);
    let mut score = match sight.rules().header.scoring {
        Scoring::Icpc => Some(icpc::score(sight, team, row, counted)),
        Scoring::Ctf => ctf::score(sight, team, row, counted),
        Scoring::Ioi => Some(ioi::score(sight, team, row, counted)),
        Scoring::Kaggle => Some(kaggle::score(sight, team, row, counted)),
        Scoring::Rubric => Some(rubric::score(sight, team, row, counted)),
    }?;
    if (hidden || team.registered.out_of_competition) && !score.lacks_worth {
        score.solves = Vec::new();
    }
    Some(score)
}

/// A row that says who, and nothing yet of what.
fn name_row(rules: &Rules, team: Team<'_>, hidden: bool) -> BoardRow {
    let registered = team.registered;
    let mut divisions: Vec<Id> = registered.groups.iter().filter(|g| rules.hides(g) == Some(false)).cloned().collect();
    divisions.sort_by(|a, b| natural_cmp(a, b));
    divisions.dedup();
    let shown = registered.display_name.as_deref().filter(|name| !name.is_empty());
    BoardRow {
        name: shown.unwrap_or(&registered.name).to_owned(),
        organization: team.organization.map(str::to_owned),
        divisions,
        hidden,
        out_of_competition: registered.out_of_competition,
        ..BoardRow::default()
    }
}
