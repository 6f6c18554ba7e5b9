//! What is used and charged, as pipelines hand it to serving: by minute, and by what a minute's usage is told apart by.

use serde::{Deserialize, Serialize};

use crate::Id;

/// Milliseconds of a minute: the grain of metering and of prices.
pub const MINUTE_MS: i64 = 60_000;

/// The source of usage that settled a reservation, whose id is the reservation's. Only the billing service writes under it.
pub const RESERVATIONS_SOURCE: &str = "gravity:reservations";

/// What has a price.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Item {
    /// Tokens of a model.
    Model(Id),
    /// Time of a machine type.
    Machine(Id),
    /// A hint.
    Hint(Id),
}

impl Item {
    /// The model, machine type or hint.
    pub fn name(&self) -> &Id {
        match self {
            Item::Model(name) | Item::Machine(name) | Item::Hint(name) => name,
        }
    }

    /// Which of them it is: `model`, `machine` or `hint`.
    pub fn kind(&self) -> &'static str {
        match self {
            Item::Model(_) => "model",
            Item::Machine(_) => "machine",
            Item::Hint(_) => "hint",
        }
    }
}

/// All usage of a minute that is charged alike: the finest grain at which there is a cost. Costs are rounded here, once, so
/// that those of any grouping of cells add up to the micro-unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Who pays.
    pub tenant: Id,
    /// What was used.
    pub item: Item,
    /// When: the half-open minute, in minutes since 1970.
    pub minute: i64,
    /// For which event.
    pub event: Option<Id>,
    /// By which team.
    pub team: Option<Id>,
    /// In which lab.
    pub lab: Option<Id>,
    /// It was settled with a reservation: budgets have it already.
    pub reserved: bool,
}

impl Cell {
    /// The least cell of a minute, in their order.
    pub fn first_of(tenant: &Id, item: &Item, minute: i64) -> Cell {
        let (tenant, item) = (tenant.clone(), item.clone());
        Cell { tenant, item, minute, event: None, team: None, lab: None, reserved: false }
    }

    /// Who it is booked on.
    pub fn account(&self) -> Account {
        Account { tenant: self.tenant.clone(), event: self.event.clone(), team: self.team.clone() }
    }

    /// Start of its minute, milliseconds since 1970.
    pub fn start_ms(&self) -> i64 {
        self.minute.saturating_mul(MINUTE_MS)
    }
}

/// How much was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Usage {
    /// Records counted.
    pub records: i64,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// Of the tokens read, those from a cache.
    pub cached_tokens: i64,
    /// Time that machines ran.
    pub duration_ms: i64,
}

impl Usage {
    /// Both together. Numbers that are too large stay at the largest.
    #[must_use]
    pub fn plus(&self, other: &Usage) -> Usage {
        Usage {
            records: self.records.saturating_add(other.records),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            duration_ms: self.duration_ms.saturating_add(other.duration_ms),
        }
    }

    /// This without the other.
    #[must_use]
    pub fn minus(&self, other: &Usage) -> Usage {
        Usage {
            records: self.records.saturating_sub(other.records),
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            cached_tokens: self.cached_tokens.saturating_sub(other.cached_tokens),
            duration_ms: self.duration_ms.saturating_sub(other.duration_ms),
        }
    }
}

/// A cell with its charge.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Charged {
    /// What was used.
    pub usage: Usage,
    /// What it costs, in micro-units of the tenant's currency.
    pub cost_micro: i64,
    /// The price list and version in force that charged it; of several, the one of the newest price.
    pub prices: Option<(Id, u64)>,
    /// Something of it has no price.
    pub unpriced: bool,
}

/// A version of a price list: the event whose usage alone it is for, its name, its version.
pub type PriceListKey = (Option<Id>, Id, u64);

/// What other prices made of usage that had been charged: of one item in one calendar month (UTC).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Adjustment {
    /// Who pays.
    pub tenant: Id,
    /// The epoch in which the prices came.
    pub epoch: u64,
    /// What was used.
    pub item: Item,
    /// First minute of the month, in minutes since 1970.
    pub month: i64,
    /// The lists that came or changed in that epoch.
    pub prices: Vec<PriceListKey>,
    /// Records whose minute costs otherwise.
    pub records: i64,
    /// What those minutes cost, in micro-units.
    pub before_micro: i64,
    /// What they cost since.
    pub after_micro: i64,
}

/// Who spends: a tenant, one of its events, or a team of it. Usage is booked on the finest that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    /// Who pays.
    pub tenant: Id,
    /// For which event.
    pub event: Option<Id>,
    /// Which team.
    pub team: Option<Id>,
}

impl Account {
    /// This account and those above it, the tenant's first: what is booked on this one counts for all.
    pub fn and_above(&self) -> Vec<Account> {
        let above = [(false, false), (true, false), (true, true)].map(|(event, team)| Account {
            tenant: self.tenant.clone(),
            event: self.event.clone().filter(|_| event),
            team: self.team.clone().filter(|_| team),
        });
        let mut accounts = above.to_vec();
        accounts.dedup();
        accounts
    }
}
