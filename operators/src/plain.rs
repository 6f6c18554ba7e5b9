//! The rules of every kind of board once more, from scratch, slow and obvious: what boards are held against, in tests and by
//! `gravity verify`.
//!
//! It shares with the views the types of facts and rows, the value functions and the operators of dimensions. Who sees
//! what, what counts, what decides and how it adds up is written again.

mod points;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use gravity_events::Id;
use gravity_events::board::{
    BoardDimension, BoardHeader, BoardKey, BoardProblem, BoardRow, BoardValue, Cell, Division, FirstSolve, View, Worth,
};
use gravity_events::body::{
    EventConfigured, GroupRegistered, JudgementTypePublished, Moment, OrganizationRegistered, ProblemPublished,
    Scoring, TeamRegistered, ValueFunction,
};

use crate::boards::fact::Fact;
use crate::boards::facts::{
    Change, Correction, EventKey, Judgement, MomentKind, Outcome, RejudgingState, RubricText, Submission, Vote,
};
use crate::boards::value::value;
use crate::scoring::rubric::Rubric;

type Natural = (Vec<(u8, usize, String)>, String);

/// Runs of digits by value, then the bytes.
fn natural(id: &str) -> Natural {
    let mut key: Vec<(u8, usize, String)> = Vec::new();
    let mut chars = id.chars().peekable();
    while let Some(first) = chars.peek().copied() {
        let mut run = String::new();
        while let Some(c) = chars.next_if(|c| c.is_ascii_digit() == first.is_ascii_digit()) {
            run.push(c);
        }
        if first.is_ascii_digit() {
            let digits = run.trim_start_matches('0').to_owned();
            key.push((0, digits.len(), digits));
        } else {
            key.push((1, 0, run));
        }
    }
    (key, id.to_owned())
}

#[derive(Default)]
struct Event {
    config: Option<EventConfigured>,
    extension: Option<i64>,
    moments: BTreeMap<MomentKind, Moment>,
    teams: BTreeMap<Id, TeamRegistered>,
    groups: BTreeMap<Id, GroupRegistered>,
    organizations: BTreeMap<Id, OrganizationRegistered>,
    problems: Vec<ProblemPublished>,
    types: BTreeMap<Id, JudgementTypePublished>,
    submissions: BTreeMap<Id, Submission>,
    judgements: Vec<Judgement>,
    applied: BTreeSet<Id>,
    rubrics: Vec<(Id, u64, RubricText)>,
    selected: BTreeSet<(Id, Id)>,
    corrections: Vec<Correction>,
    votes: Vec<Vote>,
    quarantined: BTreeMap<Id, String>,
}

/// Everything that follows from the facts of all events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// Headers, rows, first solves, worths.
    pub changes: Vec<Change>,
    /// Judgements whose submission is unknown, per event that has any.
    pub orphans: Vec<(EventKey, i64)>,
    /// Rubrics that are not sound: (event, name/version, what is wrong).
    pub faults: Vec<(EventKey, Id, String)>,
}

/// Computes all boards.
pub fn boards(facts: &[Fact]) -> Plain {
    let mut events: BTreeMap<EventKey, Event> = BTreeMap::new();
    for fact in facts.iter().cloned() {
        let (_, key, _) = fact.key();
        let event = events.entry(key).or_default();
        match fact {
            Fact::Config(_, c) => event.config = Some(c),
            Fact::Extension(_, x) => event.extension = x.duration_ms,
            Fact::Moment(_, kind, m) => drop(event.moments.insert(kind, m)),
            Fact::Team(_, t) => drop(event.teams.insert(t.team.clone(), t)),
            Fact::Group(_, g) => drop(event.groups.insert(g.group.clone(), g)),
            Fact::Organization(_, o) => drop(event.organizations.insert(o.organization.clone(), o)),
            Fact::Problem(_, p) => event.problems.push(p),
            Fact::JudgementType(_, t) => drop(event.types.insert(t.judgement_type.clone(), t)),
            Fact::Submission(s) => drop(event.submissions.insert(s.submission.clone(), s)),
            Fact::Judgement(j) => event.judgements.push(j),
            Fact::Rejudging(_, r, RejudgingState::Applied) => drop(event.applied.insert(r)),
            Fact::Rejudging(..) => {}
            Fact::Rubric(_, name, version, text) => event.rubrics.push((name, version, text)),
            Fact::Selection(_, submission, team) => drop(event.selected.insert((team, submission))),
            Fact::Correction(c) => event.corrections.push(c),
            Fact::Vote(v) => event.votes.push(v),
            Fact::Quarantine(_, operator, reason) => drop(event.quarantined.insert(operator, reason)),
        }
    }
    let mut said = Plain::default();
    for (key, mut event) in events {
        event.problems.sort_by_key(|p| (p.ordinal, p.label.clone(), natural(&p.problem)));
        let orphans = event.judgements.iter().filter(|j| !event.submissions.contains_key(&j.submission)).count();
        if orphans > 0 {
            said.orphans.push((key.clone(), orphans as i64));
        }
        if let Some(config) = event.config.clone() {
            let rubric = event.rubric(&config, &key, &mut said.faults);
            let verdicts = event.verdicts();
            for view in [View::Public, View::Jury] {
                let table =
                    Table { event: &event, config: &config, rubric: rubric.as_ref(), verdicts: &verdicts, view };
                table.say(&key, &mut said.changes);
            }
        }
    }
    said
}

impl Event {
    fn at(&self, kind: MomentKind) -> Option<i64> {
        self.moments.get(&kind)?.at
    }

    /// The current judgement of every submission that has one.
    fn verdicts(&self) -> BTreeMap<Id, &Judgement> {
        let mut current: BTreeMap<Id, &Judgement> = BTreeMap::new();
        let order =
            |j: &Judgement| (j.start_ms.or(j.end_ms).unwrap_or(0), j.end_ms.unwrap_or(0), natural(&j.judgement));
        for j in &self.judgements {
            let waits = j.rejudging.as_ref().is_some_and(|r| !self.applied.contains(r));
            if !j.current || j.judgement_type.is_none() || waits {
                continue;
            }
            if current.get(&j.submission).is_none_or(|other| order(j) > order(other)) {
                current.insert(j.submission.clone(), j);
            }
        }
        current
    }

    fn rubric(
        &self,
        config: &EventConfigured,
        key: &EventKey,
        faults: &mut Vec<(EventKey, Id, String)>,
    ) -> Option<Rubric> {
        if config.scoring != Scoring::Rubric {
            return None;
        }
        let wanted = |name: &Id| config.rules.rubric.as_ref().is_none_or(|w| w == name);
        let mut rubrics: Vec<_> = self.rubrics.iter().filter(|(name, ..)| wanted(name)).collect();
        rubrics.sort_by(|a, b| (&b.0, b.1).cmp(&(&a.0, a.1)));
        for (name, version, text) in rubrics {
            match Rubric::parse(text) {
                Ok(rubric) => {
                    let rubric = rubric.with_quarantined(self.quarantined.clone());
                    let missed = rubric.missed().map(|(operator, reason)| (operator.clone(), reason.clone()));
                    faults.extend(missed.map(|(o, reason)| (key.clone(), format!("operator/{o}").into(), reason)));
                    return Some(rubric);
                }
                Err(fault) => faults.push((key.clone(), format!("{name}/{version}").into(), fault.to_string())),
            }
        }
        None
    }
}

/// What a verdict does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Pending,
    Nothing,
    Rejected,
    Solved,
}

/// A submission that counts, as this view knows it.
struct Try<'a> {
    ms: i64,
    id: &'a Id,
    meaning: Meaning,
    /// None: nothing was measured, or it is hidden.
    outcome: Option<Cow<'a, Outcome>>,
}

/// One view of one event.
struct Table<'a> {
    event: &'a Event,
    config: &'a EventConfigured,
    rubric: Option<&'a Rubric>,
    verdicts: &'a BTreeMap<Id, &'a Judgement>,
    view: View,
}

impl<'a> Table<'a> {
    fn begin(&self) -> Option<i64> {
        self.event.at(MomentKind::Started).or(self.config.start_at)
    }

    fn duration(&self) -> Option<i64> {
        self.event.extension.or(self.config.duration_ms)
    }

    fn freeze(&self) -> Option<i64> {
        let frozen = self.event.moments.get(&MomentKind::Frozen).filter(|m| m.at.is_some());
        if let Some(by_hand) = frozen.and_then(|m| m.contest_time_ms) {
            return Some(by_hand);
        }
        if let (Some(duration), Some(freeze)) = (self.duration(), self.config.freeze_duration_ms) {
            return Some(duration - freeze);
        }
        Some(frozen?.at? - self.begin()?)
    }

    fn thawed(&self) -> bool {
        self.event.at(MomentKind::Thawed).is_some()
    }

    /// Whether this view may not know of what came at this time.
    fn censors(&self, ms: i64) -> bool {
        self.view == View::Public && !self.thawed() && self.freeze().is_some_and(|from| ms >= from)
    }

    /// Contest time without the removed milliseconds before it: counted minute by minute it would be the same.
    fn without_removed(&self, ms: i64) -> i64 {
        let mut edges: Vec<(i64, i64)> =
            self.config.rules.removed_intervals.iter().map(|i| (i.from_ms, i.to_ms)).filter(|(a, b)| a < b).collect();
        edges.sort();
        let (mut removed, mut reached) = (0, i64::MIN);
        for (from, to) in edges {
            let from = from.max(reached);
            if to > from {
                removed += (ms.min(to) - from).max(0);
                reached = to;
            }
        }
        ms - removed
    }

    fn contest_time(&self, s: &Submission) -> Option<i64> {
        let raw = match (s.contest_time_ms, s.time_ms) {
            (Some(ms), _) => ms,
            (None, Some(at)) => at - self.begin()?,
            (None, None) => return None,
        };
        let ms = self.without_removed(raw);
        (ms >= 0 && self.duration().is_none_or(|end| ms < end)).then_some(ms)
    }

    fn hidden(&self, team: &TeamRegistered) -> bool {
        team.hidden || team.groups.iter().any(|g| self.event.groups.get(g).is_some_and(|g| g.hidden))
    }

    /// Whether a team has a rank, and others' scores depend on it.
    fn ranked(&self, team: &TeamRegistered) -> bool {
        !self.hidden(team) && !team.out_of_competition
    }

    fn on_board(&self, team: &TeamRegistered) -> bool {
        let main = self.config.main_group.as_ref().is_none_or(|main| team.groups.contains(main));
        main && (self.view == View::Jury || !self.hidden(team))
    }

    fn meaning(&self, verdict: &str) -> Meaning {
        let (solved, penalty) = match (self.event.types.get(verdict), verdict) {
            (_, "JE") => return Meaning::Pending,
            (Some(t), _) => (t.solved.unwrap_or(false), t.penalty.unwrap_or(!t.solved.unwrap_or(false))),
            (None, "AC") => (true, false),
            (None, "CE") => (false, false),
            (None, _) => (false, true),
        };
        match (solved, penalty) {
            (true, _) => Meaning::Solved,
            (false, true) => Meaning::Rejected,
            (false, false) => Meaning::Nothing,
        }
    }

    /// Every submission that counts, by (team, problem), in contest order.
    fn tries(&self) -> BTreeMap<(&'a Id, &'a Id), Vec<Try<'a>>> {
        let mut tries: BTreeMap<(&Id, &Id), Vec<Try<'a>>> = BTreeMap::new();
        let places = self.places();
        for s in self.event.submissions.values() {
            let Some(ms) = self.contest_time(s) else { continue };
            let judgement = self.verdicts.get(&s.submission).filter(|_| !self.censors(ms));
            let verdict = judgement.and_then(|j| j.judgement_type.as_deref());
            let meaning = verdict.map_or(Meaning::Pending, |v| self.meaning(v));
            let outcome = judgement.and_then(|j| j.outcome.as_deref()).filter(|_| meaning != Meaning::Pending);
            let mut outcome = outcome.map(Cow::Borrowed);
            if let Some(places) = places.get(&s.team).filter(|_| self.config.scoring == Scoring::Rubric) {
                let with = outcome.get_or_insert_default().to_mut();
                with.measures.extend(places.iter().map(|(measure, place)| (measure.clone(), *place)));
            }
            tries.entry((&s.team, &s.problem)).or_default().push(Try { ms, id: &s.submission, meaning, outcome });
        }
        for of_one in tries.values_mut() {
            of_one.sort_by_key(|t| (t.ms, natural(t.id)));
        }
        tries
    }

    /// Corrections of a team that this view knows.
    fn corrections(&self, team: &Id) -> impl Iterator<Item = &'a Correction> {
        self.event.corrections.iter().filter(move |c| c.team == *team).filter(|c| {
            if c.visible_now || self.view == View::Jury || self.thawed() || self.freeze().is_none() {
                return true;
            }
            self.was_seen(c.time_ms)
        })
    }

    /// Whether what happened at this moment was before the freeze.
    fn was_seen(&self, time_ms: Option<i64>) -> bool {
        let time = time_ms.zip(self.begin()).map(|(at, begin)| self.without_removed(at - begin));
        time.is_some_and(|ms| !self.censors(ms))
    }

    /// Places in the votes of the panel: by (dimension, team), as measures.
    fn places(&self) -> BTreeMap<Id, BTreeMap<Id, i64>> {
        let all = self.view == View::Jury || self.thawed() || self.freeze().is_none();
        let team = |id: &Id| self.event.teams.get(id).filter(|t| self.on_board(t));
        let votes = self.event.votes.iter().filter(|v| {
            v.team != v.over && team(&v.team).is_some() && team(&v.over).is_some() && (all || self.was_seen(v.time_ms))
        });
        let mut by_dimension: BTreeMap<&str, Vec<&Vote>> = BTreeMap::new();
        for vote in votes {
            by_dimension.entry(vote.dimension.as_deref().unwrap_or("innovation")).or_default().push(vote);
        }
        let mut places: BTreeMap<Id, BTreeMap<Id, i64>> = BTreeMap::new();
        for (dimension, votes) in by_dimension {
            let teams: BTreeSet<&Id> = votes.iter().flat_map(|v| [&v.team, &v.over]).collect();
            let count = |one: &Id, other: &Id| votes.iter().filter(|v| v.team == *one && v.over == *other).count();
            let strength = |one: &Id| {
                let met: Vec<_> =
                    teams.iter().map(|o| (count(one, o), count(o, one))).filter(|n| *n != (0, 0)).collect();
                let won: usize = met.iter().map(|(f, a)| usize::from(f > a) + usize::from(f >= a)).sum();
                won * 10_000 / (2 * met.len())
            };
            let strengths: Vec<usize> = teams.iter().map(|team| strength(team)).collect();
            for (n, team) in teams.iter().enumerate() {
                let less = strengths.iter().filter(|s| **s < strengths[n]).count();
                let level = strengths.iter().filter(|s| **s == strengths[n]).count() - 1;
                let place = (2 * less + level) * 10_000 / (2 * (teams.len() - 1));
                places.entry((*team).clone()).or_default().insert(format!("panel.{dimension}").into(), place as i64);
            }
        }
        places
    }

    fn say(&self, key: &EventKey, said: &mut Vec<Change>) {
        let (tenant, event) = (key.tenant.clone(), key.event.clone());
        let header = BoardKey::Header { tenant: tenant.clone(), event: event.clone() };
        said.push(((self.view, header), BoardValue::Header(self.header().into())));
        let tries = self.tries();
        let mut solves: BTreeMap<&Id, u32> = BTreeMap::new();
        let mut firsts: BTreeMap<&Id, (i64, Natural, FirstSolve)> = BTreeMap::new();
        for ((team_id, problem), of_one) in &tries {
            let Some(team) = self.event.teams.get(*team_id).filter(|t| self.on_board(t) && self.ranked(t)) else {
                continue;
            };
            let first = of_one.iter().find(|t| t.meaning == Meaning::Solved);
            let Some(t) = first.filter(|_| self.event.problems.iter().any(|p| p.problem == **problem)) else {
                continue;
            };
            *solves.entry(problem).or_default() += 1;
            let by_solve = matches!(self.config.scoring, Scoring::Icpc | Scoring::Ctf);
            let candidate = (
                t.ms,
                natural(t.id),
                FirstSolve { team: team.team.clone(), submission: t.id.clone(), contest_time_ms: t.ms },
            );
            if by_solve && firsts.get(problem).is_none_or(|f| (candidate.0, &candidate.1) < (f.0, &f.1)) {
                firsts.insert(problem, candidate);
            }
        }
        for (problem, (_, _, first)) in firsts {
            let key = BoardKey::First { tenant: tenant.clone(), event: event.clone(), problem: problem.clone() };
            said.push(((self.view, key), BoardValue::First(first.into())));
        }
        let mut worths: BTreeMap<&Id, i64> = BTreeMap::new();
        if self.config.scoring == Scoring::Ctf {
            for p in &self.event.problems {
                let n = solves.get(&p.problem).copied().unwrap_or(0);
                let usual = ValueFunction::Static { points: 1 };
                let function = p.value.as_ref().or(self.config.rules.value.as_ref()).unwrap_or(&usual);
                let points = value(function, n);
                worths.insert(&p.problem, points);
                let (tenant, event) = (tenant.clone(), event.clone());
                let key = BoardKey::Worth { tenant, event, problem: p.problem.clone() };
                said.push(((self.view, key), BoardValue::Worth(Worth { points, solves: n }.into())));
            }
        }
        for team in self.event.teams.values().filter(|team| self.on_board(team)) {
            if let Some(row) = self.row(team, &tries, &worths) {
                let key = BoardKey::Row { tenant: tenant.clone(), event: event.clone(), team: team.team.clone() };
                said.push(((self.view, key), BoardValue::Row(row.into())));
            }
        }
    }

    fn header(&self) -> BoardHeader {
        let (event, config) = (self.event, self.config);
        let mut groups: Vec<_> = event.groups.values().filter(|g| !g.hidden).collect();
        groups.sort_by_key(|g| natural(&g.group));
        BoardHeader {
            name: config.name.clone(),
            formal_name: config.formal_name.clone(),
            scoring: config.scoring,
            rubric: self.rubric.map(|r| (r.rubric.clone(), r.version)),
            dimensions: self.rubric.map_or(Vec::new(), |r| {
                let of = |d: &crate::scoring::rubric::Dimension| BoardDimension {
                    dimension: d.dimension.clone(),
                    weight_bp: d.weight_bp,
                };
                r.dimensions.iter().map(of).collect()
            }),
            start_at_ms: config.start_at,
            started_at_ms: event.at(MomentKind::Started),
            duration_ms: self.duration(),
            freeze_ms: self.freeze(),
            frozen_at_ms: event.at(MomentKind::Frozen),
            ended_at_ms: event.at(MomentKind::Ended),
            thawed_at_ms: event.at(MomentKind::Thawed),
            finalized_at_ms: event.at(MomentKind::Finalized),
            penalty_min: self.penalty_min(),
            problems: Vec::from_iter(event.problems.iter().cloned().map(|p| BoardProblem {
                problem: p.problem,
                label: p.label,
                name: p.name,
                rgb: p.rgb,
            })),
            divisions: groups.iter().map(|g| Division { division: g.group.clone(), name: g.name.clone() }).collect(),
            awards: match (event.at(MomentKind::Finalized), self.freeze(), event.at(MomentKind::Thawed)) {
                (Some(_), None, _) | (Some(_), Some(_), Some(_)) => config.awards.clone(),
                _ => Vec::new(),
            },
        }
    }

    fn penalty_min(&self) -> i64 {
        self.config.penalty_ms.map_or(20, |ms| ms / 60_000)
    }

    fn row(
        &self,
        team: &TeamRegistered,
        tries: &BTreeMap<(&'a Id, &'a Id), Vec<Try<'a>>>,
        worths: &BTreeMap<&Id, i64>,
    ) -> Option<BoardRow> {
        let shown = |g: &&Id| self.event.groups.get(*g).is_some_and(|g| !g.hidden);
        let mut divisions: Vec<Id> = team.groups.iter().filter(shown).cloned().collect();
        divisions.sort_by_key(|d| natural(d));
        divisions.dedup();
        let organization = |o: &Id| Some(self.event.organizations.get(o)?.name.clone());
        let mut row = BoardRow {
            name: team.display_name.clone().filter(|n| !n.is_empty()).unwrap_or(team.name.clone()),
            organization: team.organization.as_ref().and_then(organization),
            divisions,
            hidden: self.hidden(team),
            out_of_competition: team.out_of_competition,
            ..Default::default()
        };
        let empty = Vec::new();
        let by_problem: Vec<(&ProblemPublished, &Vec<Try<'_>>)> =
            self.event.problems.iter().map(|p| (p, tries.get(&(&team.team, &p.problem)).unwrap_or(&empty))).collect();
        let corrections: Vec<&Correction> = self.corrections(&team.team).collect();
        match self.config.scoring {
            Scoring::Icpc => {
                self.solves(&mut row, &by_problem);
                row.penalty += corrections.iter().map(|c| c.penalty_min).sum::<i64>();
            }
            Scoring::Ctf => {
                let listed = self.solves(&mut row, &by_problem);
                row.penalty = 0;
                if !listed && !self.config.rules.list_all {
                    return None;
                }
                points::ctf(&mut row, worths, &corrections);
            }
            _ => points::of(self, team, &mut row, &by_problem, &corrections),
        }
        Some(row)
    }

    /// Cells, solved problems and penalty; whether anything is solved.
    fn solves(&self, row: &mut BoardRow, by_problem: &[(&ProblemPublished, &Vec<Try<'_>>)]) -> bool {
        let mut last: Option<i64> = None;
        for (problem, tries) in by_problem {
            let mut cell = Cell { problem: problem.problem.clone(), ..Cell::default() };
            let mut rejected = 0;
            for t in tries.iter() {
                match t.meaning {
                    Meaning::Pending => cell.pending += 1,
                    _ if cell.solved_min.is_some() => {}
                    Meaning::Nothing => {}
                    Meaning::Rejected => (cell.judged, rejected) = (cell.judged + 1, rejected + 1),
                    Meaning::Solved => {
                        cell.judged += 1;
                        cell.solved_min = Some(t.ms / 60_000);
                        row.solved += 1;
                        row.penalty += t.ms / 60_000 + rejected * self.penalty_min();
                        last = last.max(Some(t.ms));
                    }
                }
            }
            if cell.judged > 0 || cell.pending > 0 {
                row.cells.push(cell);
            }
        }
        self.scored_at(row, last);
        last.is_some()
    }

    fn scored_at(&self, row: &mut BoardRow, last: Option<i64>) {
        if let Some(ms) = last {
            row.last_solved_min = ms / 60_000;
            row.last_scored_at_ms = self.begin().map_or(0, |begin| begin + ms);
        }
    }
}
