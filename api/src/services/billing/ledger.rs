//! The ledger of budgets: what was reserved, settled, and spent without a reservation, by account.
//!
//! available = limit - settled - open reservations - unreserved usage, on the account of a budget and nowhere else: whatever
//! moves one of them is one transaction on the rows of the account and of those above it. Rows are taken in the order of
//! [`Account::and_above`], so that no two transactions wait for each other.
//!
//! What the log has to learn (usage of a settled reservation, alerts) is put in the outbox in the same transaction.
//! Appending it again after a crash changes nothing: its identity is the reservation's.

mod applier;
mod marks;
mod model;
mod outbox;

use gravity_events::body::{UsageHint, UsageTokens, UsageVm};
use gravity_events::burn::{Account, Item, RESERVATIONS_SOURCE, Usage};
use gravity_events::{Body, Record};
use gravity_ingest::failpoint::{Failpoints, Hit};
use gravity_storage::database::{AsCollision, Database, DatabaseError};
use gravity_storage::transaction;
use sqlx::{Any, Transaction};

pub use applier::Applier;
pub use model::{Ask, Reservation, Standing, State};
pub use outbox::OutboxError;

use model::{RESERVATIONS, STANDINGS, reservation_of, standing_of, text};

/// A transaction of the ledger's database.
type Tx = Transaction<'static, Any>;

/// Why the ledger did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A budget does not allow it.
    #[error("budget `{budget}` has {available_micro} micro-units left, and {asked_micro} were asked for")]
    OverBudget {
        /// Which.
        budget: String,
        /// What is left of it.
        available_micro: i64,
        /// What was asked for.
        asked_micro: i64,
    },
    /// A budget is in another currency than the prices.
    #[error("budget `{budget}` is in {of_budget}, and the tenant's prices are in {of_prices}")]
    Currency {
        /// Which.
        budget: String,
        /// Its currency.
        of_budget: String,
        /// That of the prices.
        of_prices: String,
    },
    /// There is no such reservation.
    #[error("there is no such reservation")]
    Unknown,
    /// It came before, with something else.
    #[error("{0}")]
    Other(&'static str),
    /// It is over.
    #[error("the reservation is {0}")]
    Closed(State),
    /// The database did not do it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A test made it fail.
    #[error(transparent)]
    Failpoint(#[from] Hit),
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> LedgerError {
        LedgerError::Database(error.into())
    }
}

impl AsCollision for LedgerError {
    fn is_collision(&self) -> bool {
        matches!(self, LedgerError::Database(error) if error.is_collision())
    }
}

/// The ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    database: Database,
    failpoints: Failpoints,
}

async fn find(tx: &mut Tx, reservation: &str) -> Result<Option<Reservation>, LedgerError> {
    let query = sqlx::query(sqlx::AssertSqlSafe(format!("{RESERVATIONS} WHERE reservation = $1"))).bind(reservation);
    let row = query.fetch_optional(&mut **tx).await?;
    Ok(row.as_ref().map(reservation_of).transpose()?)
}

/// Moves what counts against an account and those above it.
async fn book(tx: &mut Tx, account: &Account, reserved_micro: i64, settled_micro: i64) -> Result<(), LedgerError> {
    const SQL: &str = "UPDATE accounts SET reserved_micro = reserved_micro + $4, settled_micro = settled_micro + $5 \
         WHERE tenant = $1 AND event = $2 AND team = $3";
    for account in account.and_above() {
        let query = sqlx::query(SQL).bind(account.tenant.as_str());
        let query = query.bind(text(&account.event)).bind(text(&account.team));
        query.bind(reserved_micro).bind(settled_micro).execute(&mut **tx).await?;
    }
    Ok(())
}

impl Ledger {
    /// Of this database.
    pub fn new(database: Database) -> Ledger {
        Ledger { database, failpoints: Failpoints::of_process() }
    }

    /// For what needs no transaction.
    pub(super) async fn pool(&self) -> Result<&sqlx::AnyPool, LedgerError> {
        Ok(self.database.pool().await?)
    }

    /// Holds the amount of what is asked for on its account and those above it, if every budget of theirs allows it. True:
    /// it was not there before.
    ///
    /// # Errors
    /// A budget has less left; the id came before with something else; the database failed.
    pub async fn reserve(&self, ask: &Ask, now_ms: i64) -> Result<(Reservation, bool), LedgerError> {
        let made: Result<_, LedgerError> = transaction!(self.database, tx => self.reserve_in(&mut tx, ask, now_ms));
        let made = made?;
        self.failpoints.pass("ledger.after_reserve")?;
        Ok(made)
    }

    async fn reserve_in(&self, tx: &mut Tx, ask: &Ask, now_ms: i64) -> Result<(Reservation, bool), LedgerError> {
        let fresh = self.insert(tx, ask, now_ms).await?;
        let found = find(tx, &ask.reservation).await?.ok_or(LedgerError::Unknown)?;
        if !fresh {
            return match found.ask.asked == ask.asked {
                true => Ok((found, false)),
                false => Err(LedgerError::Other("the reservation's id came before, and asked for something else")),
            };
        }
        for account in ask.account.and_above() {
            self.hold(tx, &account, ask).await?;
        }
        self.failpoints.pass("ledger.before_reserve")?;
        Ok((found, true))
    }

    async fn insert(&self, tx: &mut Tx, ask: &Ask, now_ms: i64) -> Result<bool, LedgerError> {
        const SQL: &str = "INSERT INTO reservations (tenant, reservation, event, team, lab, kind, item, amount_micro, \
             currency, state, asked, created_at_ms, expires_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', $10, \
             $11, $12) ON CONFLICT (reservation) DO NOTHING";
        let kind = ask.item.kind();
        let query = sqlx::query(SQL).bind(ask.account.tenant.as_str()).bind(ask.reservation.as_str());
        let query = query.bind(text(&ask.account.event)).bind(text(&ask.account.team)).bind(text(&ask.lab)).bind(kind);
        let query = query.bind(ask.item.name().as_str()).bind(ask.amount_micro).bind(ask.currency.as_str());
        let query = query.bind(ask.asked.as_str()).bind(now_ms).bind(ask.expires_at_ms);
        Ok(query.execute(&mut **tx).await?.rows_affected() == 1)
    }

    /// Takes first, which holds the row, and looks then: a statement that does both would, in PostgreSQL, look at budgets as they
    /// were before it waited for the row, and admit too many. What is not allowed is undone.
    async fn hold(&self, tx: &mut Tx, account: &Account, ask: &Ask) -> Result<(), LedgerError> {
        const TAKE: &str = "INSERT INTO accounts (tenant, event, team, reserved_micro) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (tenant, event, team) DO UPDATE SET reserved_micro = accounts.reserved_micro + $4";
        let (tenant, event, team) = (account.tenant.as_str(), text(&account.event), text(&account.team));
        let query = sqlx::query(TAKE).bind(tenant).bind(event).bind(team).bind(ask.amount_micro);
        query.execute(&mut **tx).await?;
        let hard = format!(
            "{STANDINGS} WHERE b.tenant = $1 AND b.event = $2 AND b.team = $3 AND b.soft = 0 ORDER BY b.budget"
        );
        let hard = sqlx::query(sqlx::AssertSqlSafe(hard)).bind(tenant).bind(event).bind(team);
        let rows = hard.fetch_all(&mut **tx).await?;
        let budgets = rows.iter().map(standing_of).collect::<Result<Vec<_>, _>>()?;
        if let Some(other) = budgets.iter().find(|b| b.currency != ask.currency) {
            return Err(LedgerError::Currency {
                budget: other.budget.to_string(),
                of_budget: other.currency.to_string(),
                of_prices: ask.currency.to_string(),
            });
        }
        match budgets.iter().min_by_key(|b| b.available_micro()) {
            Some(tightest) if tightest.available_micro() < 0 => Err(LedgerError::OverBudget {
                budget: tightest.budget.to_string(),
                available_micro: tightest.available_micro().saturating_add(ask.amount_micro),
                asked_micro: ask.amount_micro,
            }),
            _ => Ok(()),
        }
    }

    /// A reservation.
    ///
    /// # Errors
    /// There is none with this id; the database failed.
    pub async fn get(&self, reservation: &str) -> Result<Reservation, LedgerError> {
        let query =
            sqlx::query(sqlx::AssertSqlSafe(format!("{RESERVATIONS} WHERE reservation = $1"))).bind(reservation);
        let row = query.fetch_optional(self.pool().await?).await?.ok_or(LedgerError::Unknown)?;
        Ok(reservation_of(&row)?)
    }

    /// Closes a reservation with what was used, books what it cost, and puts the usage record in the outbox. One that has
    /// expired, too: what was used is charged. The same again changes nothing.
    ///
    /// # Errors
    /// It is not there, or was released or settled with something else; the database failed.
    pub async fn settle(
        &self,
        of: &Reservation,
        usage: &Usage,
        cost_micro: i64,
        now_ms: i64,
    ) -> Result<Reservation, LedgerError> {
        let settled: Result<_, LedgerError> =
            transaction!(self.database, tx => self.settle_in(&mut tx, of, usage, cost_micro, now_ms));
        let settled = settled?;
        self.failpoints.pass("ledger.after_settle")?;
        Ok(settled)
    }

    async fn settle_in(
        &self,
        tx: &mut Tx,
        of: &Reservation,
        usage: &Usage,
        cost_micro: i64,
        now_ms: i64,
    ) -> Result<Reservation, LedgerError> {
        const SQL: &str = "UPDATE reservations SET state = 'settled', used = $3, settled_micro = $4, closed_at_ms = $5 \
             WHERE reservation = $1 AND state = $2";
        let id = of.ask.reservation.as_str();
        let used = serde_json::to_string(usage).expect("numbers can be written");
        for (state, held_micro) in [("open", of.ask.amount_micro), ("expired", 0)] {
            let query = sqlx::query(SQL).bind(id).bind(state).bind(used.as_str()).bind(cost_micro).bind(now_ms);
            if query.execute(&mut **tx).await?.rows_affected() == 1 {
                book(tx, &of.ask.account, -held_micro, cost_micro).await?;
                marks::look(tx, of.ask.account.and_above(), now_ms).await?;
                outbox::put(tx, &format!("usage/{id}"), &usage_record(of, usage, now_ms), now_ms).await?;
                self.failpoints.pass("ledger.before_settle")?;
                return find(tx, id).await?.ok_or(LedgerError::Unknown);
            }
        }
        let found = find(tx, id).await?.ok_or(LedgerError::Unknown)?;
        match found.state {
            State::Settled if found.used == used => Ok(found),
            State::Settled => Err(LedgerError::Other("the reservation was settled before, with something else")),
            state => Err(LedgerError::Closed(state)),
        }
    }

    /// Gives up a reservation of which nothing was used. Giving it up again changes nothing.
    ///
    /// # Errors
    /// It is not there, or was settled; the database failed.
    pub async fn release(&self, reservation: &str, now_ms: i64) -> Result<Reservation, LedgerError> {
        transaction!(self.database, tx => release_in(&mut tx, reservation, now_ms))
    }

    /// Gives up reservations whose time is over. How many there were.
    ///
    /// # Errors
    /// The database failed.
    pub async fn expire(&self, now_ms: i64) -> Result<u64, LedgerError> {
        let due =
            format!("{RESERVATIONS} WHERE state = 'open' AND expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT 200");
        let due = sqlx::query(sqlx::AssertSqlSafe(due)).bind(now_ms).fetch_all(self.pool().await?).await?;
        let mut expired = 0;
        for row in &due {
            let of = reservation_of(row)?;
            let closed: Result<bool, LedgerError> =
                transaction!(self.database, tx => close(&mut tx, &of, State::Expired, now_ms));
            expired += u64::from(closed?);
        }
        Ok(expired)
    }

    /// Budgets of a tenant with what counts against them, by event and name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn standings(&self, tenant: &str) -> Result<Vec<Standing>, LedgerError> {
        let sql = format!("{STANDINGS} WHERE b.tenant = $1 ORDER BY b.event, b.budget");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant).fetch_all(self.pool().await?).await?;
        Ok(rows.iter().map(standing_of).collect::<Result<_, _>>()?)
    }
}

async fn release_in(tx: &mut Tx, reservation: &str, now_ms: i64) -> Result<Reservation, LedgerError> {
    let found = find(tx, reservation).await?.ok_or(LedgerError::Unknown)?;
    close(tx, &found, State::Released, now_ms).await?;
    let found = find(tx, reservation).await?.ok_or(LedgerError::Unknown)?;
    match found.state {
        State::Settled => Err(LedgerError::Closed(State::Settled)),
        _ => Ok(found),
    }
}

/// Ends an open reservation of which nothing is known to have been used; false: it is not open.
async fn close(tx: &mut Tx, of: &Reservation, state: State, now_ms: i64) -> Result<bool, LedgerError> {
    const SQL: &str = "UPDATE reservations SET state = $2, closed_at_ms = $3 \
         WHERE reservation = $1 AND state = 'open'";
    let query = sqlx::query(SQL).bind(of.ask.reservation.as_str());
    let closed = query.bind(state.name()).bind(now_ms).execute(&mut **tx).await?.rows_affected() == 1;
    if closed {
        book(tx, &of.ask.account, -of.ask.amount_micro, 0).await?;
    }
    Ok(closed)
}

/// The usage that settles a reservation, as the stream gets it.
fn usage_record(of: &Reservation, usage: &Usage, now_ms: i64) -> Record {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let (team, lab) = (of.ask.account.team.clone(), of.ask.lab.clone());
    let body = match &of.ask.item {
        Item::Model(model) => Body::UsageTokens(UsageTokens {
            model: model.clone(),
            input_tokens: count(usage.input_tokens),
            output_tokens: count(usage.output_tokens),
            cached_tokens: count(usage.cached_tokens),
            team,
            lab,
        }),
        Item::Machine(machine) => {
            Body::UsageVm(UsageVm { machine: machine.clone(), duration_ms: count(usage.duration_ms), team, lab })
        }
        Item::Hint(hint) => Body::UsageHint(UsageHint { hint: hint.clone(), team, lab }),
    };
    Record {
        id: of.ask.reservation.clone(),
        source: RESERVATIONS_SOURCE.into(),
        tenant: of.ask.account.tenant.clone(),
        event: of.ask.account.event.clone(),
        subject: None,
        time_ms: Some(now_ms),
        backfill: false,
        body,
    }
}
