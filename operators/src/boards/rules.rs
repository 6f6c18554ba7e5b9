//! An event's rules: its configuration, moments, problems, judgement types and groups in one shared value.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use gravity_events::Id;
use gravity_events::board::{BoardDimension, BoardHeader, BoardKey, BoardProblem, BoardValue, Division, View};
use gravity_events::body::{
    BoardRules, EventConfigured, EventExtended, GroupRegistered, Interval, JudgementTypePublished, Moment,
    ProblemPublished, Scoring, ValueFunction,
};
use serde::{Deserialize, Serialize};

use super::attempts::When;
use super::facts::{BoardFacts, Change, EventKey, MomentKind, Rows, RubricText};
use crate::primitives::id_hash::IdHash;
use crate::primitives::reduce::{Group, GroupKey, Memory, reduce_total};
use crate::scoring::rubric::{Dimension, Rubric};

/// Penalty per rejected submission where none is configured (the usual one of ICPC contests).
pub const DEFAULT_PENALTY_MIN: i64 = 20;

/// Types whose meaning is known without having been published (CLICS 2026-01, "Known judgement types").
const WELL_KNOWN: [(&str, Effect); 3] =
    [("AC", Effect::Accepted), ("CE", Effect::Nothing), (JUDGING_ERROR, Effect::Pending)];

/// Pending, whatever is said of it.
const JUDGING_ERROR: &str = "JE";

/// What a judgement type does to a problem's cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// As if not judged: a judging error.
    Pending,
    /// Neither penalty nor solved (compile errors): leaves no trace.
    Nothing,
    /// Costs penalty if the problem is solved later.
    Rejected,
    /// Solves.
    Accepted,
}

/// The rules by which an event's teams are scored.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rules {
    /// What the board's reader is told; holds the times, the freeze and the problems in order.
    pub header: BoardHeader,
    /// Only teams of this group are on the boards.
    pub main_group: Option<Id>,
    /// What differs from what is usual for boards of this kind.
    pub board: BoardRules,
    /// The rubric that counts.
    pub rubric: Option<Rubric>,
    /// By place: how many times a problem's score counts.
    weights: Vec<i64>,
    /// By place: what a problem is worth (CTF boards).
    values: Vec<ValueFunction>,
    /// Effects of the published judgement types, sorted by hash.
    effects: Vec<(IdHash, Effect)>,
    /// Problems sorted by hash, with their place on the board.
    places: Vec<(IdHash, u32)>,
    /// Removed intervals, disjoint, in order.
    removed: Vec<Interval>,
    /// Groups sorted by id: whether each hides its teams.
    groups: Vec<(Id, bool)>,
}

impl Rules {
    /// Puts an event's reference data together.
    pub fn new(
        config: &EventConfigured,
        extension: Option<&EventExtended>,
        moment: impl Fn(MomentKind) -> Option<Moment>,
        mut problems: Vec<&ProblemPublished>,
        types: &[&JudgementTypePublished],
        mut groups: Vec<&GroupRegistered>,
        rubric: Option<Rubric>,
    ) -> Self {
        let duration_ms = extension.and_then(|e| e.duration_ms).or(config.duration_ms);
        let at = |kind| moment(kind).and_then(|m| m.at);
        let (started_at_ms, frozen_at_ms) = (at(MomentKind::Started), at(MomentKind::Frozen));
        let by_hand = moment(MomentKind::Frozen).filter(|m| m.at.is_some()).and_then(|m| m.contest_time_ms);
        let by_plan = duration_ms.zip(config.freeze_duration_ms).map(|(d, f)| d.saturating_sub(f));
        let begin = started_at_ms.or(config.start_at);
        let as_announced = frozen_at_ms.zip(begin).map(|(f, s)| f.saturating_sub(s));

        problems.sort_by(|a, b| {
            let order = (a.ordinal, &a.label).cmp(&(b.ordinal, &b.label));
            order.then_with(|| gravity_events::natural_cmp(&a.problem, &b.problem))
        });
        groups.sort_by(|a, b| gravity_events::natural_cmp(&a.group, &b.group));
        let mut places: Vec<_> = problems.iter().zip(0..).map(|(p, n)| (IdHash::from(&p.problem), n)).collect();
        places.sort();
        let mut effects: Vec<_> = types.iter().map(|t| (IdHash::from(&t.judgement_type), effect_of(t))).collect();
        effects.sort();
        let mut hiding: Vec<_> = groups.iter().map(|g| (g.group.clone(), g.hidden)).collect();
        hiding.sort();
        let (thawed_at_ms, finalized_at_ms) = (at(MomentKind::Thawed), at(MomentKind::Finalized));
        let freeze_ms = by_hand.or(by_plan).or(as_announced);
        // The header is the same for everybody.
        let is_told = finalized_at_ms.is_some() && (freeze_ms.is_none() || thawed_at_ms.is_some());
        Rules {
            header: BoardHeader {
                name: config.name.clone(),
                formal_name: config.formal_name.clone(),
                scoring: config.scoring,
                rubric: rubric.as_ref().map(|r| (r.rubric.clone(), r.version)),
                dimensions: rubric.iter().flat_map(|r| &r.dimensions).map(dimension).collect(),
                start_at_ms: config.start_at,
                started_at_ms,
                duration_ms,
                freeze_ms,
                frozen_at_ms,
                ended_at_ms: at(MomentKind::Ended),
                thawed_at_ms,
                finalized_at_ms,
                penalty_min: config.penalty_ms.map_or(DEFAULT_PENALTY_MIN, |ms| ms.div_euclid(60_000)),
                problems: problems.iter().map(|p| column(p)).collect(),
                divisions: groups.iter().filter(|g| !g.hidden).map(|g| division(g)).collect(),
                awards: if is_told { config.awards.clone() } else { Vec::new() },
            },
            main_group: config.main_group.clone(),
            board: config.rules.clone(),
            weights: problems.iter().map(|p| i64::from(p.weight.unwrap_or(1))).collect(),
            values: problems.iter().map(|p| value_of(config, p)).collect(),
            rubric,
            effects,
            places,
            removed: disjoint(&config.rules.removed_intervals),
            groups: hiding,
        }
    }

    /// The rules of an event from its facts; none where it is not configured.
    pub fn of(facts: &[super::fact::Fact]) -> Option<Self> {
        use super::fact::Fact as Of;
        let mut group: Vec<(Fact, i64)> = Vec::new();
        for fact in facts {
            let fact = match fact {
                Of::Config(_, c) => Fact::Config(c.clone()),
                Of::Extension(_, x) => Fact::Extended(x.clone()),
                Of::Moment(_, kind, m) => Fact::Moment(*kind, m.clone()),
                Of::Problem(_, p) => Fact::Problem(p.clone()),
                Of::JudgementType(_, t) => Fact::JudgementType(t.clone()),
                Of::Group(_, g) => Fact::Group(g.clone()),
                Of::Rubric(_, rubric, version, text) => Fact::Rubric(rubric.clone(), *version, text.clone()),
                Of::Quarantine(_, operator, reason) => Fact::Quarantine(operator.clone(), reason.clone()),
                _ => continue,
            };
            group.push((fact, 1));
        }
        group.sort();
        assemble(Group::new(&group), &mut |_, _| {})
    }

    /// When contest time is 0: the start, or the planned one until it came.
    pub fn begin_ms(&self) -> Option<i64> {
        self.header.started_at_ms.or(self.header.start_at_ms)
    }

    /// Contest time from which the public is told no verdicts; none when there is no freeze or it is lifted.
    pub fn hidden_from_ms(&self) -> Option<i64> {
        self.header.freeze_ms.filter(|_| self.header.thawed_at_ms.is_none())
    }

    /// Whether the private split is shown to everybody.
    pub fn private_is_public(&self) -> bool {
        self.header.thawed_at_ms.is_some()
    }

    /// The contest time of a moment; none when nobody said when it was, or when the event began. Removed intervals do
    /// not count: the clock stands still in them (CCS requirements, "Removing time intervals").
    pub fn contest_time_ms(&self, when: When) -> Option<i64> {
        let at_ms = match when {
            When::Contest(ms) => ms,
            When::Clock(ms) => ms.saturating_sub(self.begin_ms()?),
            When::Unknown => return None,
        };
        Some(at_ms - self.removed.iter().map(|i| (at_ms.min(i.to_ms) - i.from_ms).max(0)).sum::<i64>())
    }

    /// How many times a problem's score counts.
    pub fn weight(&self, place: usize) -> i64 {
        self.weights.get(place).copied().unwrap_or(1)
    }

    /// What the problems are worth, in their order (CTF boards).
    pub fn values(&self) -> impl Iterator<Item = (&Id, &ValueFunction)> {
        self.header.problems.iter().map(|p| &p.problem).zip(&self.values)
    }

    /// Whether a submission of this contest time counts: from 0 until before the end.
    pub fn in_contest(&self, contest_time_ms: i64) -> bool {
        contest_time_ms >= 0 && self.header.duration_ms.is_none_or(|end| contest_time_ms < end)
    }

    /// The problem's place on the board; none for an unknown problem.
    pub fn place(&self, problem: IdHash) -> Option<usize> {
        let at = self.places.binary_search_by(|(id, _)| id.cmp(&problem)).ok()?;
        Some(self.places[at].1 as usize)
    }

    /// What a verdict does. Unknown types are taken as rejections, except those that everybody knows.
    pub fn effect(&self, judgement_type: IdHash) -> Effect {
        match self.effects.binary_search_by(|(id, _)| id.cmp(&judgement_type)) {
            Ok(at) => self.effects[at].1,
            Err(_) => {
                let known = WELL_KNOWN.iter().find(|(id, _)| IdHash::of(id) == judgement_type);
                known.map_or(Effect::Rejected, |(_, effect)| *effect)
            }
        }
    }

    /// Whether a group hides its teams; none for an unknown group.
    pub fn hides(&self, group: &Id) -> Option<bool> {
        let at = self.groups.binary_search_by(|(id, _)| id.cmp(group)).ok()?;
        Some(self.groups[at].1)
    }
}

/// A judging error is pending whatever its type says (CLICS 2026-01); solving goes before penalty.
fn effect_of(t: &JudgementTypePublished) -> Effect {
    let solved = t.solved.unwrap_or(false);
    match (t.judgement_type.as_str(), solved, t.penalty.unwrap_or(!solved)) {
        (JUDGING_ERROR, ..) => Effect::Pending,
        (_, true, _) => Effect::Accepted,
        (_, false, true) => Effect::Rejected,
        (_, false, false) => Effect::Nothing,
    }
}

/// What an event without a word on it takes a problem to be worth.
const DEFAULT_VALUE: ValueFunction = ValueFunction::Static { points: 1 };

fn value_of(config: &EventConfigured, p: &ProblemPublished) -> ValueFunction {
    p.value.as_ref().or(config.rules.value.as_ref()).unwrap_or(&DEFAULT_VALUE).clone()
}

fn disjoint(intervals: &[Interval]) -> Vec<Interval> {
    let mut intervals: Vec<Interval> = intervals.iter().filter(|i| i.from_ms < i.to_ms).copied().collect();
    intervals.sort();
    let mut disjoint: Vec<Interval> = Vec::new();
    for i in intervals {
        match disjoint.last_mut() {
            Some(last) if i.from_ms <= last.to_ms => last.to_ms = last.to_ms.max(i.to_ms),
            _ => disjoint.push(i),
        }
    }
    disjoint
}

fn dimension(d: &Dimension) -> BoardDimension {
    BoardDimension { dimension: d.dimension.clone(), weight_bp: d.weight_bp }
}

fn column(p: &ProblemPublished) -> BoardProblem {
    BoardProblem { problem: p.problem.clone(), label: p.label.clone(), name: p.name.clone(), rgb: p.rgb.clone() }
}

fn division(g: &GroupRegistered) -> Division {
    Division { division: g.group.clone(), name: g.name.clone() }
}

/// Rules that all teams of an event share; equal ones are mostly the same allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SharedRules(Arc<Rules>);

impl Deref for SharedRules {
    type Target = Rules;
    fn deref(&self) -> &Rules {
        &self.0
    }
}

impl Ord for SharedRules {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for SharedRules {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Fact {
    Config(EventConfigured),
    Extended(EventExtended),
    Moment(MomentKind, Moment),
    Problem(ProblemPublished),
    JudgementType(JudgementTypePublished),
    Group(GroupRegistered),
    Rubric(Id, u64, RubricText),
    Quarantine(Id, String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Rules(EventKey, SharedRules),
    Header(View, EventKey, Arc<BoardHeader>),
    Fault(EventKey, Id, String),
}

/// What comes of an event's reference data.
pub struct RulesViews<'s> {
    /// The rules of every configured event.
    pub rules: Rows<'s, (EventKey, SharedRules)>,
    /// Its headers, for both views.
    pub headers: Rows<'s, Change>,
    /// Rubrics that are not sound, with what is wrong: (event, name/version, text). The newest sound one counts.
    pub faults: Rows<'s, (EventKey, Id, String)>,
}

impl GroupKey for EventKey {
    fn route(&self) -> u64 {
        self.hash().route()
    }
}

/// The rules of every configured event, and its headers.
pub fn rules<'s>(facts: &BoardFacts<'s>) -> RulesViews<'s> {
    let facts = facts.configs.clone().map(|(e, c)| (e, Fact::Config(c))).concatenate([
        facts.extensions.clone().map(|(e, x)| (e, Fact::Extended(x))),
        facts.moments.clone().map(|((e, kind), m)| (e, Fact::Moment(kind, m))),
        facts.problems.clone().map(|((e, _), p)| (e, Fact::Problem(p))),
        facts.judgement_types.clone().map(|((e, _), t)| (e, Fact::JudgementType(t))),
        facts.groups.clone().map(|((e, _), g)| (e, Fact::Group(g))),
        facts.rubrics.clone().map(|((e, rubric, version), text)| (e, Fact::Rubric(rubric, version, text))),
        facts.quarantines.clone().map(|((e, operator), reason)| (e, Fact::Quarantine(operator, reason))),
    ]);
    let said = reduce_total(facts, "Rules", Memory::Keep, |event: &EventKey, group, said| {
        let mut fault = |rubric: &str, text: String| said.push(Said::Fault(event.clone(), rubric.into(), text));
        let Some(rules) = assemble(group, &mut fault) else { return };
        let header = Arc::new(rules.header.clone());
        said.extend([View::Public, View::Jury].map(|view| Said::Header(view, event.clone(), header.clone())));
        said.push(Said::Rules(event.clone(), SharedRules(Arc::new(rules))));
    });
    let faults = said.clone().flat_map(|said| match said {
        Said::Fault(event, rubric, text) => Some((event, rubric, text)),
        _ => None,
    });
    let headers = said.clone().flat_map(|said| match said {
        Said::Header(view, EventKey { tenant, event }, header) => {
            Some(((view, BoardKey::Header { tenant, event }), BoardValue::Header(header)))
        }
        _ => None,
    });
    let rules = said.flat_map(|said| match said {
        Said::Rules(event, rules) => Some((event, rules)),
        _ => None,
    });
    RulesViews { rules, headers, faults }
}

/// The rubric that counts: the one that is configured, or the last by name, in its highest version that is sound.
fn pick_rubric(
    config: &EventConfigured,
    mut rubrics: Vec<(&Id, u64, &RubricText)>,
    fault: &mut dyn FnMut(&str, String),
) -> Option<Rubric> {
    if config.scoring != Scoring::Rubric {
        return None;
    }
    rubrics.retain(|(name, ..)| config.rules.rubric.as_ref().is_none_or(|wanted| wanted == *name));
    rubrics.sort();
    for (name, version, text) in rubrics.into_iter().rev() {
        match Rubric::parse(text) {
            Ok(rubric) => return Some(rubric),
            Err(e) => fault(&format!("{name}/{version}"), e.to_string()),
        }
    }
    None
}

fn assemble(group: Group<'_, Fact>, fault: &mut dyn FnMut(&str, String)) -> Option<Rules> {
    let (mut config, mut extension, mut moments) = (None, None, Vec::new());
    let (mut problems, mut types, mut groups, mut rubrics) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut quarantined: BTreeMap<Id, String> = BTreeMap::new();
    for fact in group.iter() {
        match fact {
            Fact::Config(c) => config = Some(c),
            Fact::Extended(e) => extension = Some(e),
            Fact::Moment(kind, m) => moments.push((*kind, m)),
            Fact::Problem(p) => problems.push(p),
            Fact::JudgementType(t) => types.push(t),
            Fact::Group(g) => groups.push(g),
            Fact::Rubric(rubric, version, text) => rubrics.push((rubric, *version, text)),
            // Of two reasons the first in order.
            Fact::Quarantine(operator, reason) => {
                quarantined.entry(operator.clone()).or_insert_with(|| reason.clone());
            }
        }
    }
    let moment = |kind| moments.iter().find(|(k, _)| *k == kind).map(|(_, m)| (*m).clone());
    let rubric = pick_rubric(config?, rubrics, fault).map(|rubric| rubric.with_quarantined(quarantined));
    for (operator, reason) in rubric.iter().flat_map(Rubric::missed) {
        fault(&format!("operator/{operator}"), reason.clone());
    }
    Some(Rules::new(config?, extension, moment, problems, &types, groups, rubric))
}
