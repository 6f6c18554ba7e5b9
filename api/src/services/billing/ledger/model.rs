//! What the ledger keeps, and how it stands in rows. An absent event or team is the empty text there, so that it can be part of a
//! key.

use gravity_events::Id;
use gravity_events::burn::{Account, Item};
use sqlx::Row;
use sqlx::any::AnyRow;

/// Where a reservation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds its amount.
    Open,
    /// It was settled: what was used counts.
    Settled,
    /// Nothing was used.
    Released,
    /// Its time was over before anybody said what was used. It may still be settled.
    Expired,
}

impl State {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Settled => "settled",
            State::Released => "released",
            State::Expired => "expired",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The reservation's id.
    pub reservation: Id,
    /// Who spends.
    pub account: Account,
    /// In which lab.
    pub lab: Option<Id>,
    /// What will be used.
    pub item: Item,
    /// The most that it can cost, in micro-units.
    pub amount_micro: i64,
    /// Of the amount.
    pub currency: Id,
    /// Tells requests with the same id apart.
    pub asked: String,
    /// Until when it is held, milliseconds since 1970.
    pub expires_at_ms: i64,
}

/// A reservation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// What was asked for.
    pub ask: Ask,
    /// Where it is in its life.
    pub state: State,
    /// What it was settled with, in micro-units.
    pub settled_micro: i64,
    /// What was said to have been used, as JSON.
    pub(super) used: String,
}

/// A budget with what counts against it, in micro-units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub budget: Id,
    /// Whose.
    pub account: Account,
    /// At most.
    pub limit_micro: i64,
    /// Of all amounts.
    pub currency: Id,
    /// Only alerts.
    pub soft: bool,
    /// What reservations were settled with.
    pub settled_micro: i64,
    /// The most that open reservations may cost.
    pub reserved_micro: i64,
    /// What the stream charged without a reservation.
    pub unreserved_micro: i64,
}

impl Standing {
    /// What can still be reserved; below zero: more was spent.
    pub fn available_micro(&self) -> i64 {
        let taken = self.settled_micro.saturating_add(self.reserved_micro).saturating_add(self.unreserved_micro);
        self.limit_micro.saturating_sub(taken)
    }
}

pub(super) fn text(id: &Option<Id>) -> &str {
    id.as_deref().unwrap_or("")
}

pub(super) fn id_of(text: String) -> Option<Id> {
    Some(Id::from(text)).filter(|id| !id.is_empty())
}

/// The account that is in three columns of a row.
pub(super) fn account_of(row: &AnyRow, [tenant, event, team]: [usize; 3]) -> Result<Account, sqlx::Error> {
    Ok(Account {
        tenant: row.try_get::<String, _>(tenant)?.into(),
        event: id_of(row.try_get(event)?),
        team: id_of(row.try_get(team)?),
    })
}

/// What [`reservation_of`] reads.
pub(super) const RESERVATIONS: &str = "SELECT tenant, reservation, event, team, lab, kind, item, amount_micro, currency, state, \
     asked, used, settled_micro, expires_at_ms FROM reservations";

/// What [`standing_of`] reads.
pub(super) const STANDINGS: &str = "SELECT b.budget, b.tenant, b.event, b.team, b.limit_micro, b.currency, b.soft, \
     COALESCE(a.settled_micro, 0), COALESCE(a.reserved_micro, 0), COALESCE(a.unreserved_micro, 0) FROM budgets b \
     LEFT JOIN accounts a ON a.tenant = b.tenant AND a.event = b.event AND a.team = b.team";

pub(super) fn reservation_of(row: &AnyRow) -> Result<Reservation, sqlx::Error> {
    let name: String = row.try_get(6)?;
    let item = match row.try_get::<String, _>(5)?.as_str() {
        "machine" => Item::Machine(name.into()),
        "hint" => Item::Hint(name.into()),
        _ => Item::Model(name.into()),
    };
    let state = match row.try_get::<String, _>(9)?.as_str() {
        "open" => State::Open,
        "settled" => State::Settled,
        "released" => State::Released,
        _ => State::Expired,
    };
    Ok(Reservation {
        ask: Ask {
            account: account_of(row, [0, 2, 3])?,
            reservation: row.try_get::<String, _>(1)?.into(),
            lab: id_of(row.try_get(4)?),
            item,
            amount_micro: row.try_get(7)?,
            currency: row.try_get::<String, _>(8)?.into(),
            asked: row.try_get(10)?,
            expires_at_ms: row.try_get(13)?,
        },
        state,
        used: row.try_get(11)?,
        settled_micro: row.try_get(12)?,
    })
}

pub(super) fn standing_of(row: &AnyRow) -> Result<Standing, sqlx::Error> {
    Ok(Standing {
        budget: row.try_get::<String, _>(0)?.into(),
        account: account_of(row, [1, 2, 3])?,
        limit_micro: row.try_get(4)?,
        currency: row.try_get::<String, _>(5)?.into(),
        soft: row.try_get::<i64, _>(6)? != 0,
        settled_micro: row.try_get(7)?,
        reserved_micro: row.try_get(8)?,
        unreserved_micro: row.try_get(9)?,
    })
}
