//! The rules once more, from scratch, slowly: no code in common with the view.

use std::collections::{BTreeMap, BTreeSet};

use gravity_events::Id;
use gravity_events::board::{
    BoardHeader, BoardKey, BoardProblem, BoardRow, BoardValue, Cell, Division, FirstSolve, View,
};
use gravity_events::body::{
    EventConfigured, GroupRegistered, JudgementTypePublished, Moment, OrganizationRegistered, ProblemPublished,
    TeamRegistered,
};
use gravity_operators::boards::facts::{EventKey, Judgement, MomentKind, RejudgingState, Submission};
use gravity_operators::harness::boards::{Fact, Said};

type Natural = (Vec<(u8, u128, String)>, String);

/// Runs of digits by value, then the bytes.
fn natural(id: &str) -> Natural {
    let mut key: Vec<(u8, u128, String)> = Vec::new();
    let mut chars = id.chars().peekable();
    while let Some(first) = chars.peek().copied() {
        let mut run = String::new();
        while let Some(c) = chars.next_if(|c| c.is_ascii_digit() == first.is_ascii_digit()) {
            run.push(c);
        }
        key.push(if first.is_ascii_digit() { (0, run.parse().expect("digits"), String::new()) } else { (1, 0, run) });
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
}

/// Everything that the view says of these facts.
pub fn boards(facts: &[Fact]) -> Vec<Said> {
    let mut events: BTreeMap<EventKey, Event> = BTreeMap::new();
    for fact in facts.iter().cloned() {
        let event = events.entry(fact.key().1).or_default();
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
            // Of other boards than these.
            Fact::Rejudging(..) | Fact::Rubric(..) | Fact::Selection(..) | Fact::Correction(_) => {}
        }
    }
    let mut said = Vec::new();
    for (key, mut event) in events {
        event.problems.sort_by_key(|p| (p.ordinal, p.label.clone(), natural(&p.problem)));
        let orphans = event.judgements.iter().filter(|j| !event.submissions.contains_key(&j.submission)).count();
        if orphans > 0 {
            said.push(Said::Orphans(key.clone(), orphans as i64));
        }
        if let Some(config) = event.config.clone() {
            for view in [View::Public, View::Jury] {
                event.board(&key, &config, view, &mut said);
            }
        }
    }
    said
}

#[derive(Default)]
struct Work {
    judged: u32,
    pending: u32,
    rejected: i64,
    solved_ms: Option<i64>,
}

impl Event {
    fn at(&self, kind: MomentKind) -> Option<i64> {
        self.moments.get(&kind)?.at
    }

    fn begin(&self, config: &EventConfigured) -> Option<i64> {
        self.at(MomentKind::Started).or(config.start_at)
    }

    fn duration(&self, config: &EventConfigured) -> Option<i64> {
        self.extension.or(config.duration_ms)
    }

    fn freeze(&self, config: &EventConfigured) -> Option<i64> {
        let frozen = self.moments.get(&MomentKind::Frozen).filter(|m| m.at.is_some());
        if let Some(by_hand) = frozen.and_then(|m| m.contest_time_ms) {
            return Some(by_hand);
        }
        if let (Some(duration), Some(freeze)) = (self.duration(config), config.freeze_duration_ms) {
            return Some(duration - freeze);
        }
        Some(frozen?.at? - self.begin(config)?)
    }

    fn verdict(&self, submission: &Id) -> Option<Id> {
        let takes_part = |j: &&Judgement| {
            let of_it = j.submission == *submission && j.current && j.judgement_type.is_some();
            of_it && j.rejudging.as_ref().is_none_or(|r| self.applied.contains(r))
        };
        let by_rule =
            |j: &&Judgement| (j.start_ms.or(j.end_ms).unwrap_or(0), j.end_ms.unwrap_or(0), natural(&j.judgement));
        self.judgements.iter().filter(takes_part).max_by_key(by_rule)?.judgement_type.clone()
    }

    fn meaning(&self, verdict: &str) -> (bool, bool) {
        match (self.types.get(verdict), verdict) {
            (Some(t), _) => (t.solved.unwrap_or(false), t.penalty.unwrap_or(!t.solved.unwrap_or(false))),
            (None, "AC") => (true, false),
            (None, "CE") => (false, false),
            (None, _) => (false, true),
        }
    }

    fn hidden(&self, team: &TeamRegistered) -> bool {
        team.hidden || team.groups.iter().any(|g| self.groups.get(g).is_some_and(|g| g.hidden))
    }

    fn board(&self, key: &EventKey, config: &EventConfigured, view: View, said: &mut Vec<Said>) {
        let (tenant, event) = (key.tenant.clone(), key.event.clone());
        let mut groups: Vec<_> = self.groups.values().filter(|g| !g.hidden).collect();
        groups.sort_by_key(|g| natural(&g.group));
        let penalty_min = config.penalty_ms.map_or(20, |ms| ms / 60_000);
        let header = BoardHeader {
            name: config.name.clone(),
            formal_name: config.formal_name.clone(),
            start_at_ms: config.start_at,
            started_at_ms: self.at(MomentKind::Started),
            duration_ms: self.duration(config),
            freeze_ms: self.freeze(config),
            frozen_at_ms: self.at(MomentKind::Frozen),
            ended_at_ms: self.at(MomentKind::Ended),
            thawed_at_ms: self.at(MomentKind::Thawed),
            finalized_at_ms: self.at(MomentKind::Finalized),
            penalty_min,
            problems: Vec::from_iter(self.problems.iter().cloned().map(|p| BoardProblem {
                problem: p.problem,
                label: p.label,
                name: p.name,
                rgb: p.rgb,
            })),
            divisions: groups.iter().map(|g| Division { division: g.group.clone(), name: g.name.clone() }).collect(),
            ..BoardHeader::default()
        };
        let header_key = BoardKey::Header { tenant: tenant.clone(), event: event.clone() };
        said.push(Said::Change(view, header_key, Box::new(BoardValue::Header(header.into()))));

        let frozen_from = self.freeze(config).filter(|_| view == View::Public && self.at(MomentKind::Thawed).is_none());
        let mut submissions: Vec<(i64, Natural, &Submission)> = Vec::new();
        for s in self.submissions.values() {
            let by_clock = || Some(s.time_ms? - self.begin(config)?);
            let Some(ms) = s.contest_time_ms.or_else(by_clock) else {
                continue;
            };
            if ms >= 0 && self.duration(config).is_none_or(|end| ms < end) {
                submissions.push((ms, natural(&s.submission), s));
            }
        }
        submissions.sort();

        let mut work: BTreeMap<(&Id, &Id), Work> = BTreeMap::new();
        let mut firsts: BTreeMap<&Id, FirstSolve> = BTreeMap::new();
        for (ms, _, s) in &submissions {
            let Some(team) = self.teams.get(&s.team) else { continue };
            if !self.problems.iter().any(|p| p.problem == s.problem) || !self.on_board(config, team, view) {
                continue;
            }
            let verdict = if frozen_from.is_some_and(|f| *ms >= f) { None } else { self.verdict(&s.submission) };
            let cell = work.entry((&s.team, &s.problem)).or_default();
            let Some(verdict) = verdict.filter(|v| v != "JE") else {
                cell.pending += 1;
                continue;
            };
            let (solved, penalty) = self.meaning(&verdict);
            if cell.solved_ms.is_some() || (!solved && !penalty) {
                continue;
            }
            cell.judged += 1;
            if solved {
                cell.solved_ms = Some(*ms);
                if !self.hidden(team) {
                    let (team, submission) = (s.team.clone(), s.submission.clone());
                    firsts.entry(&s.problem).or_insert(FirstSolve { team, submission, contest_time_ms: *ms });
                }
            } else {
                cell.rejected += 1;
            }
        }
        for (problem, first) in firsts {
            let key = BoardKey::First { tenant: tenant.clone(), event: event.clone(), problem: problem.clone() };
            said.push(Said::Change(view, key, Box::new(BoardValue::First(first.into()))));
        }

        for (id, team) in self.teams.iter().filter(|(_, team)| self.on_board(config, team, view)) {
            let mut divisions: Vec<Id> =
                team.groups.iter().filter(|g| self.groups.get(*g).is_some_and(|g| !g.hidden)).cloned().collect();
            divisions.sort_by_key(|d| natural(d));
            divisions.dedup();
            let mut row = BoardRow {
                name: team.display_name.clone().filter(|n| !n.is_empty()).unwrap_or(team.name.clone()),
                organization: team.organization.as_ref().and_then(|o| Some(self.organizations.get(o)?.name.clone())),
                divisions,
                hidden: self.hidden(team),
                ..Default::default()
            };
            let mut last = None;
            for problem in &self.problems {
                let Some(cell) = work.get(&(id, &problem.problem)) else {
                    continue;
                };
                if let Some(ms) = cell.solved_ms {
                    row.solved += 1;
                    row.penalty += ms / 60_000 + cell.rejected * penalty_min;
                    row.last_solved_min = row.last_solved_min.max(ms / 60_000);
                    last = last.max(Some(ms));
                }
                if cell.judged > 0 || cell.pending > 0 {
                    row.cells.push(Cell {
                        problem: problem.problem.clone(),
                        judged: cell.judged,
                        pending: cell.pending,
                        solved_min: cell.solved_ms.map(|ms| ms / 60_000),
                        ..Cell::default()
                    });
                }
            }
            if let (Some(ms), Some(begin)) = (last, self.begin(config)) {
                row.last_scored_at_ms = begin + ms;
            }
            let key = BoardKey::Row { tenant: tenant.clone(), event: event.clone(), team: id.clone() };
            said.push(Said::Change(view, key, Box::new(BoardValue::Row(row.into()))));
        }
    }

    fn on_board(&self, config: &EventConfigured, team: &TeamRegistered, view: View) -> bool {
        let main = config.main_group.as_ref().is_none_or(|main| team.groups.contains(main));
        main && (view == View::Jury || !self.hidden(team))
    }
}
