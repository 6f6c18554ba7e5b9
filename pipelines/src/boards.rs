//! The boards pipeline: reference data, submissions and judgements become public and jury boards.

pub(crate) mod facts;
mod objects;
mod output;
mod quarantine;
mod queries;
mod store;
mod suppose;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use differential_dataflow::VecCollection;
use gravity_events::board::{BoardValue, OVERALL, View};
use gravity_events::publish::BoardsSink;
use gravity_events::{Id, Record, Topic};
use gravity_ingest::log::Produce;
use gravity_operators::boards::attempts::Attempt;
use gravity_operators::boards::facts::EventKey;
use gravity_operators::boards::gate::{Pace, Slices};
use gravity_operators::boards::rules::Rules;
use gravity_operators::boards::score::{Team, score_team};
use gravity_operators::boards::view::{boards_in_slices, boards_in_slices_with};
use gravity_operators::scoring::operator::Scorer;
use parking_lot::Mutex;
use prometheus::{IntGauge, IntGaugeVec, register_int_gauge, register_int_gauge_vec};
use serde::{Deserialize, Serialize};

pub use queries::Queries;
use store::FactStore;

use crate::runtime::watchdog::Overrun;
use crate::runtime::{Committed, Definition, Facts, Folds, Touch};
use quarantine::Quarantine;

/// The pipeline's name: of its folder, metrics and outputs.
pub const NAME: &str = "boards";

/// Teams per epoch, about, when the rules of an event change: some milliseconds of work, for which other events wait.
pub const SLICE_TEAMS: u32 = 120;

static ORPHANS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("gravity_orphans", "Records whose referent is unknown as yet.", &["topic"])
        .expect("metrics are registered once")
});

static STALE: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "gravity_board_errors",
        "Teams whose work an operator failed at, and rubrics that are not sound."
    )
    .expect("metrics are registered once")
});

/// The definition of the boards pipeline.
pub struct Boards {
    sink: Arc<dyn BoardsSink>,
    slices: Slices,
    facts: Option<FactStore>,
    orphans: Mutex<BTreeMap<EventKey, i64>>,
    /// The event that was hashed last.
    last_hash: Mutex<Option<(EventKey, u128)>>,
    /// Teams and rubrics that something is wrong with.
    errors: Mutex<BTreeSet<(EventKey, Id)>>,
    quarantine: Quarantine,
    /// Operators in the place of the catalogue's, by dimension.
    scorers: BTreeMap<String, Arc<dyn Scorer>>,
}

/// Key of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// What an event is.
    Header(View, EventKey),
    /// A team's row.
    Row(View, EventKey, Id),
    /// Who solved a problem first.
    First(View, EventKey, Id),
    /// How many judgements of an event are without their submission.
    Orphans(EventKey),
    /// A row that could not be computed.
    Error(EventKey, Id),
    /// What a problem is worth.
    Worth(View, EventKey, Id),
    /// A change of an event's rules is under way.
    Gate(EventKey),
}

impl Key {
    /// The event and view of what is on a board.
    fn board(&self) -> Option<(&EventKey, View)> {
        match self {
            Key::Header(view, event)
            | Key::Row(view, event, _)
            | Key::First(view, event, _)
            | Key::Worth(view, event, _) => Some((event, *view)),
            Key::Orphans(_) | Key::Error(..) | Key::Gate(_) => None,
        }
    }
}

/// Value of an output row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Of a header, row or first solve.
    Board(BoardValue),
    /// Of orphans.
    Count(i64),
    /// Of an error.
    Text(String),
}

/// A board: event x view x division.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Which event.
    pub event: EventKey,
    /// Public or jury.
    pub view: View,
    /// Division; [`OVERALL`] sorts first.
    pub division: Id,
}

impl Boards {
    /// The pipeline whose epochs go to `sink`.
    pub fn new(sink: Arc<dyn BoardsSink>) -> Boards {
        Boards {
            sink,
            slices: Slices { teams: Some(SLICE_TEAMS), ..Slices::default() },
            facts: None,
            orphans: Mutex::default(),
            last_hash: Mutex::default(),
            errors: Mutex::default(),
            quarantine: Quarantine::default(),
            scorers: BTreeMap::new(),
        }
    }

    /// The same, which takes about so many teams per epoch when the rules of an event change.
    pub fn in_slices_of(mut self, teams: u32) -> Boards {
        self.slices.teams = Some(teams.max(1));
        self
    }

    /// The same with another operator for a dimension of every rubric: one that is in no catalogue, in tests.
    pub fn with_scorer(mut self, dimension: &str, scorer: Arc<dyn Scorer>) -> Boards {
        self.scorers.insert(dimension.into(), scorer);
        self
    }

    /// The same, whose facts answer questions.
    pub fn with_queries(sink: Arc<dyn BoardsSink>) -> std::io::Result<(Boards, Queries)> {
        let facts = FactStore::start()?;
        Ok((Boards { facts: Some(facts.clone()), ..Boards::new(sink) }, Queries::new(facts)))
    }
}

impl Definition for Boards {
    type Key = Key;
    type Value = Value;
    type Scope = Scope;

    fn name(&self) -> &'static str {
        NAME
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Reference, Topic::Submissions, Topic::Judgements]
    }

    fn folds(&self) -> u8 {
        facts::FOLDS
    }

    fn facts(&self, record: &Record, out: &mut Facts) {
        facts::collect(record, out);
    }

    fn views<'s>(&self, folds: &mut Folds<'s>) -> VecCollection<'s, u64, (Key, Value), i64> {
        let facts = self.quarantine.add_to(facts::collections(folds));
        if self.scorers.is_empty() {
            return output::views(boards_in_slices(facts, self.slices.clone()));
        }
        let scorers = self.scorers.clone();
        let score = move |rules: &Rules, team: Team<'_>, attempts: &[&Attempt]| {
            let mut rules = rules.clone();
            for (dimension, scorer) in &scorers {
                rules.rubric = rules.rubric.map(|rubric| rubric.with_scorer(dimension, scorer.clone()));
            }
            score_team(&rules, team, attempts)
        };
        output::views(boards_in_slices_with(facts, score, self.slices.clone()))
    }

    fn touches(&self, key: &Key, value: &Value, touches: &mut Vec<Touch<Scope>>) {
        let scope = |event: &EventKey, view: &View, division: &str| Scope {
            event: event.clone(),
            view: *view,
            division: division.into(),
        };
        match (key, value) {
            (Key::Header(view, event) | Key::First(view, event, _) | Key::Worth(view, event, _), _) => {
                touches.push(Touch::Related(scope(event, view, OVERALL)))
            }
            (Key::Row(view, event, _), Value::Board(BoardValue::Row(row))) => {
                touches.push(Touch::One(scope(event, view, OVERALL)));
                touches.extend(row.divisions.iter().map(|d| Touch::One(scope(event, view, d))));
            }
            _ => {}
        }
    }

    fn related(&self, scope: &Scope, other: &Scope) -> bool {
        (&scope.event, scope.view) == (&other.event, other.view)
    }

    fn opens(&self, key: &Key) -> Option<u128> {
        match key {
            Key::Gate(event) => Some(event.hash()),
            _ => None,
        }
    }

    fn behind(&self, key: &Key) -> Option<u128> {
        let event = key.board()?.0;
        // Rows come by event, and hashing one costs as much as all the rest.
        let mut last = self.last_hash.lock();
        match &*last {
            Some((known, hash)) if known == event => Some(*hash),
            _ => Some(last.insert((event.clone(), event.hash())).1),
        }
    }

    fn pace(&self) -> Arc<Pace> {
        self.slices.pace.clone()
    }

    fn quarantine(&self, overrun: &Overrun) -> Vec<Produce> {
        self.quarantine.begin(overrun)
    }

    fn output_records(&self, epoch: &Committed<Self>) -> Vec<Produce> {
        output::records(epoch)
    }

    fn publish(&self, epoch: Arc<Committed<Self>>) {
        let boards = output::boards_epoch(&epoch);
        if let Some(facts) = &self.facts {
            facts.publish(epoch.clone());
        }
        {
            let mut orphans = self.orphans.lock();
            if epoch.snapshot {
                orphans.clear();
            }
            for (tenant, event, n) in &boards.orphans {
                orphans.insert(EventKey::new(tenant.clone(), event.clone()), *n);
            }
            orphans.retain(|_, n| *n != 0);
            ORPHANS.with_label_values(&[Topic::Judgements.name()]).set(orphans.values().sum());
        }
        {
            let mut errors = self.errors.lock();
            if epoch.snapshot {
                errors.clear();
            }
            for change in &epoch.changes {
                match (&change.key, &change.value) {
                    (Key::Error(event, of), Some(_)) => drop(errors.insert((event.clone(), of.clone()))),
                    (Key::Error(event, of), None) => drop(errors.remove(&(event.clone(), of.clone()))),
                    _ => {}
                }
            }
            STALE.set(errors.len() as i64);
        }
        self.sink.publish(Arc::new(boards));
    }
}
