//! Books what the burn pipeline commits: budgets as they are set, and what was spent without a reservation.
//!
//! An epoch's amounts are booked where the one before was, in one transaction with its number, so that none is booked twice or
//! left out. Where numbers do not follow each other (another process, a database that was put back), all is booked anew: this
//! keeps the whole of what the pipeline says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gravity_events::body::BudgetSet;
use gravity_events::burn::Account;
use gravity_events::publish::{BudgetKey, BurnEpoch, BurnSink};
use gravity_ingest::log::Log;
use gravity_storage::transaction;
use parking_lot::Mutex;
use sqlx::Row;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::model::{account_of, id_of, text};
use super::outbox::OutboxError;
use super::{Ledger, LedgerError, Tx, marks};
use crate::app::Clock;

const PIPELINE: &str = "burn";
/// Between looks at the outbox and at reservations whose time is over; what is put in meanwhile is told at once.
const PACE: Duration = Duration::from_millis(500);
/// After a failure.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    /// All as of the last epoch.
    unreserved: BTreeMap<Account, i64>,
    budgets: BTreeMap<BudgetKey, BudgetSet>,
    /// What changed since `booked`, the last epoch that is in the database.
    changed: BTreeSet<Account>,
    changed_budgets: BTreeSet<BudgetKey>,
    epoch: u64,
    booked: u64,
    /// The database is to hold all of this and nothing else.
    whole: bool,
    /// Counts how often all came anew.
    generation: u64,
}

/// What is booked together.
struct Batch {
    unreserved: BTreeMap<Account, i64>,
    budgets: BTreeMap<BudgetKey, Option<BudgetSet>>,
    epoch: u64,
    booked: u64,
    whole: bool,
    generation: u64,
}

impl State {
    /// What is not booked yet; None: nothing.
    fn take(&mut self) -> Option<Batch> {
        if self.epoch == self.booked && !self.whole {
            return None;
        }
        let (mut accounts, mut budgets) =
            (std::mem::take(&mut self.changed), std::mem::take(&mut self.changed_budgets));
        if self.whole {
            accounts = self.unreserved.keys().cloned().collect();
            budgets = self.budgets.keys().cloned().collect();
        }
        let unreserved = accounts.into_iter().map(|account| {
            let cost_micro = self.unreserved.get(&account).copied().unwrap_or(0);
            (account, cost_micro)
        });
        let budgets = budgets.into_iter().map(|key| {
            let budget = self.budgets.get(&key).cloned();
            (key, budget)
        });
        Some(Batch {
            unreserved: unreserved.collect(),
            budgets: budgets.collect(),
            epoch: self.epoch,
            booked: self.booked,
            whole: self.whole,
            generation: self.generation,
        })
    }
}

/// Takes epochs of burn, and books them by and by.
pub struct Applier {
    ledger: Ledger,
    state: Mutex<State>,
    news: Notify,
}

impl BurnSink for Applier {
    fn publish_burn(&self, epoch: Arc<BurnEpoch>) {
        let mut state = self.state.lock();
        if epoch.snapshot {
            *state = State { whole: true, generation: state.generation + 1, ..State::default() };
        }
        state.epoch = epoch.epoch;
        for (account, cost_micro) in &epoch.unreserved {
            match cost_micro {
                Some(cost_micro) => state.unreserved.insert(account.clone(), *cost_micro),
                None => state.unreserved.remove(account),
            };
            state.changed.insert(account.clone());
        }
        for (key, budget) in &epoch.budgets {
            match budget {
                Some(budget) => state.budgets.insert(key.clone(), budget.clone()),
                None => state.budgets.remove(key),
            };
            state.changed_budgets.insert(key.clone());
        }
        drop(state);
        self.news.notify_one();
    }
}

impl Applier {
    /// Books in this ledger.
    pub fn new(ledger: Ledger) -> Arc<Applier> {
        Arc::new(Applier { ledger, state: Mutex::default(), news: Notify::new() })
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The last epoch that is booked.
    pub fn booked(&self) -> u64 {
        self.state.lock().booked
    }

    /// There may be something in the outbox.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// Books epochs, appends the outbox and gives up reservations whose time is over, until it is ended.
    pub async fn run(&self, log: Arc<dyn Log>, clock: Clock, ends: CancellationToken) {
        loop {
            let worked = self.round(&*log, clock()).await;
            let pause = match &worked {
                Ok(()) => PACE,
                Err(error) => {
                    tracing::warn!(%error, "the ledger of budgets waits");
                    PATIENCE
                }
            };
            let news = async {
                self.news.notified().await;
                // A failure is not tried again at the next piece of news, but after a while.
                if worked.is_err() {
                    tokio::time::sleep(pause).await;
                }
            };
            tokio::select! {
                () = ends.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = news => {}
            }
        }
    }

    /// One round of it.
    ///
    /// # Errors
    /// The database or the log is away: what is not done is done by a later round.
    pub async fn round(&self, log: &dyn Log, now_ms: i64) -> Result<(), OutboxError> {
        self.apply(now_ms).await?;
        self.ledger.expire(now_ms).await?;
        while self.ledger.relay(log).await? > 0 {}
        Ok(())
    }

    /// Books what was committed since the last time.
    async fn apply(&self, now_ms: i64) -> Result<(), LedgerError> {
        loop {
            let Some(batch) = self.state.lock().take() else { return Ok(()) };
            let booked = transaction!(self.ledger.database, tx => self.book(&mut tx, &batch, now_ms));
            let mut state = self.state.lock();
            match booked {
                _ if state.generation != batch.generation => {}
                Ok(true) => {
                    state.booked = batch.epoch;
                    state.whole &= !batch.whole;
                }
                Ok(false) => state.whole = true,
                Err(error) => {
                    state.whole = true;
                    return Err(error);
                }
            }
            drop(state);
            self.ledger.failpoints.pass("ledger.after_apply")?;
        }
    }

    /// False: the database does not hold the epoch before; nothing was done.
    async fn book(&self, tx: &mut Tx, batch: &Batch, now_ms: i64) -> Result<bool, LedgerError> {
        const FOLLOW: &str = "UPDATE applied SET epoch = $2 WHERE pipeline = $1 AND epoch = $3";
        const WHOLE: &str =
            "INSERT INTO applied (pipeline, epoch) VALUES ($1, $2) ON CONFLICT (pipeline) DO UPDATE SET epoch = $2";
        let number = |epoch: u64| i64::try_from(epoch).unwrap_or(i64::MAX);
        let mut accounts: BTreeMap<Account, i64> = BTreeMap::new();
        let mut budgets: BTreeMap<BudgetKey, Option<BudgetSet>> = BTreeMap::new();
        if batch.whole {
            let query = sqlx::query(WHOLE).bind(PIPELINE).bind(number(batch.epoch));
            query.execute(&mut **tx).await?;
            accounts.extend(booked_accounts(tx).await?.into_iter().map(|account| (account, 0)));
            budgets.extend(booked_budgets(tx).await?.into_iter().map(|key| (key, None)));
        } else {
            let query = sqlx::query(FOLLOW).bind(PIPELINE).bind(number(batch.epoch)).bind(number(batch.booked));
            if query.execute(&mut **tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
        }
        accounts.extend(batch.unreserved.clone());
        budgets.extend(batch.budgets.clone());
        for (account, cost_micro) in &accounts {
            put_unreserved(tx, account, *cost_micro).await?;
        }
        let mut touched: BTreeSet<Account> = accounts.into_keys().collect();
        for (key, budget) in &budgets {
            touched.extend(put_budget(tx, key, budget.as_ref()).await?);
        }
        marks::look(tx, touched, now_ms).await?;
        self.ledger.failpoints.pass("ledger.before_apply")?;
        Ok(true)
    }
}

async fn put_unreserved(tx: &mut Tx, account: &Account, cost_micro: i64) -> Result<(), LedgerError> {
    const SQL: &str = "INSERT INTO accounts (tenant, event, team, unreserved_micro) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant, event, team) DO UPDATE SET unreserved_micro = $4";
    let query = sqlx::query(SQL).bind(account.tenant.as_str()).bind(text(&account.event)).bind(text(&account.team));
    query.bind(cost_micro).execute(&mut **tx).await?;
    Ok(())
}

/// The account that the budget is of, where there is one now.
async fn put_budget(tx: &mut Tx, key: &BudgetKey, budget: Option<&BudgetSet>) -> Result<Option<Account>, LedgerError> {
    const DROP: &str = "DELETE FROM budgets WHERE tenant = $1 AND event = $2 AND budget = $3";
    const PUT: &str = "INSERT INTO budgets (tenant, event, budget, team, limit_micro, currency, soft, alerts_bp) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant, event, budget) DO UPDATE SET team = $4, \
         limit_micro = $5, currency = $6, soft = $7, alerts_bp = $8";
    const MAKE: &str =
        "INSERT INTO accounts (tenant, event, team) VALUES ($1, $2, $3) ON CONFLICT (tenant, event, team) DO NOTHING";
    let (tenant, event, name) = key;
    let Some(budget) = budget else {
        let query = sqlx::query(DROP).bind(tenant.as_str()).bind(text(event)).bind(name.as_str());
        query.execute(&mut **tx).await?;
        return Ok(None);
    };
    let marks = serde_json::to_string(&budget.alerts_bp).expect("numbers can be written");
    let query = sqlx::query(PUT).bind(tenant.as_str()).bind(text(event)).bind(name.as_str()).bind(text(&budget.team));
    let query = query.bind(budget.limit_micro).bind(budget.currency.as_str()).bind(i64::from(budget.soft)).bind(marks);
    query.execute(&mut **tx).await?;
    let query = sqlx::query(MAKE).bind(tenant.as_str()).bind(text(event)).bind(text(&budget.team));
    query.execute(&mut **tx).await?;
    Ok(Some(Account { tenant: tenant.clone(), event: event.clone(), team: budget.team.clone() }))
}

/// Accounts on which something is booked that no reservation was settled with.
async fn booked_accounts(tx: &mut Tx) -> Result<Vec<Account>, LedgerError> {
    const SQL: &str = "SELECT tenant, event, team FROM accounts WHERE unreserved_micro <> 0";
    let mut accounts = Vec::new();
    for row in sqlx::query(SQL).fetch_all(&mut **tx).await? {
        accounts.push(account_of(&row, [0, 1, 2])?);
    }
    Ok(accounts)
}

async fn booked_budgets(tx: &mut Tx) -> Result<Vec<BudgetKey>, LedgerError> {
    let mut keys = Vec::new();
    for row in sqlx::query("SELECT tenant, event, budget FROM budgets").fetch_all(&mut **tx).await? {
        let (tenant, event, budget): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        keys.push((tenant.into(), id_of(event), budget.into()));
    }
    Ok(keys)
}
