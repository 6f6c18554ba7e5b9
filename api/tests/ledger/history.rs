//! Random histories against a plain model, and the books against each other.

use std::collections::BTreeMap;

use gravity_api::services::billing::ledger::{LedgerError, Reservation, State};
use gravity_events::burn::Account;
use gravity_events::publish::BurnEpoch;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::Row;

use super::{NOW, World, account, ask, budget, on_each, used};

/// What accounts hold is what their reservations, and those below them, say.
pub(crate) async fn reconcile(world: &World) {
    const HELD: &str = "SELECT tenant, event, team, amount_micro, settled_micro, state FROM reservations";
    const BOOKED: &str = "SELECT tenant, event, team, reserved_micro, settled_micro FROM accounts";
    let database = world.url.open().await;
    let pool = database.pool().await.expect("it answers");
    let mut expected: BTreeMap<(String, String, String), (i64, i64)> = BTreeMap::new();
    for row in sqlx::query(HELD).fetch_all(pool).await.expect("reservations") {
        let text = |n: usize| row.get::<String, _>(n);
        let held = if text(5) == "open" { row.get::<i64, _>(3) } else { 0 };
        let of = Account {
            tenant: text(0).into(),
            event: Some(text(1).into()).filter(|id: &gravity_events::Id| !id.is_empty()),
            team: Some(text(2).into()).filter(|id: &gravity_events::Id| !id.is_empty()),
        };
        for account in of.and_above() {
            let part = |id: Option<gravity_events::Id>| id.unwrap_or_default().to_string();
            let sums =
                expected.entry((account.tenant.to_string(), part(account.event), part(account.team))).or_default();
            *sums = (sums.0 + held, sums.1 + row.get::<i64, _>(4));
        }
    }
    for row in sqlx::query(BOOKED).fetch_all(pool).await.expect("accounts") {
        let key = (row.get::<String, _>(0), row.get::<String, _>(1), row.get::<String, _>(2));
        let booked = (row.get::<i64, _>(3), row.get::<i64, _>(4));
        assert_eq!(booked, expected.remove(&key).unwrap_or_default(), "{key:?}");
    }
    assert!(expected.values().all(|sums| *sums == (0, 0)), "not booked: {expected:?}");
}

/// All of one account, kept by adding up.
#[derive(Default)]
struct Model {
    limits: BTreeMap<&'static str, (Account, i64)>,
    reservations: BTreeMap<String, (Account, i64, State, i64)>,
    unreserved: BTreeMap<Account, i64>,
}

impl Model {
    fn taken(&self, of: &Account) -> i64 {
        let is_of = |account: &Account| account.and_above().contains(of);
        let reservations = self.reservations.values().filter(|(account, ..)| is_of(account));
        let reserved: i64 = reservations
            .map(|(_, amount, state, settled)| match state {
                State::Open => *amount,
                _ => *settled,
            })
            .sum();
        reserved + self.unreserved.get(of).copied().unwrap_or(0)
    }

    fn admits(&self, of: &Account, amount: i64) -> bool {
        let above = of.and_above();
        self.limits
            .values()
            .filter(|(account, _)| above.contains(account))
            .all(|(account, limit)| limit - self.taken(account) >= amount)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_are_those_of_a_plain_model() {
    on_each(|world| async move {
        let mut dice = StdRng::seed_from_u64(11);
        let mut model = Model::default();
        let places = [("", ""), ("e", ""), ("e", "t"), ("e", "u"), ("f", "t")];
        let names = [("all", 0), ("event", 1), ("t", 2), ("u", 3)];
        // All begins with nothing known.
        world.commit(BurnEpoch::default()).await;
        let mut made: Vec<Reservation> = Vec::new();
        for step in 0..400 {
            let place = places[dice.random_range(0..places.len())];
            let of = account(place.0, place.1);
            match dice.random_range(0..100) {
                0..45 => {
                    let (id, amount) = (format!("r{step}"), dice.random_range(0..200));
                    let reserved = world.ledger.reserve(&ask(&id, of.clone(), amount), NOW).await;
                    assert_eq!(reserved.is_ok(), model.admits(&of, amount), "step {step}: {reserved:?}");
                    if let Ok((reservation, _)) = reserved {
                        model.reservations.insert(id, (of, amount, State::Open, 0));
                        made.push(reservation);
                    }
                }
                45..75 if !made.is_empty() => {
                    let which = &made[dice.random_range(0..made.len())];
                    let known = model.reservations.get_mut(which.ask.reservation.as_str()).expect("it is known");
                    let cost = dice.random_range(0..250);
                    let done = match dice.random_range(0..3) {
                        0 => {
                            world.ledger.release(&which.ask.reservation, NOW).await.map(|r| (r.state, r.settled_micro))
                        }
                        _ => {
                            let settled = world.ledger.settle(which, &used(cost), cost, NOW).await;
                            settled.map(|r| (r.state, r.settled_micro))
                        }
                    };
                    match done {
                        Ok((state, settled)) if known.2 == State::Open => (known.2, known.3) = (state, settled),
                        Ok(done) => assert_eq!(done, (known.2, known.3)),
                        Err(LedgerError::Closed(state)) => assert_eq!(state, known.2),
                        Err(LedgerError::Other(_)) => assert_eq!(known.2, State::Settled),
                        Err(error) => panic!("{error}"),
                    }
                }
                75..90 => {
                    let (name, at) = names[dice.random_range(0..names.len())];
                    let (event, team) = places[at];
                    let limit = dice.random_range(0..2_000 + step * 60);
                    model.limits.insert(name, (account(event, team), limit));
                    let budgets = vec![budget(name, event, team, limit)];
                    world.commit(BurnEpoch { budgets, ..BurnEpoch::default() }).await;
                }
                _ => {
                    // The pipeline tells of all accounts that usage is booked on, not only of the finest.
                    let micro = dice.random_range(0..100);
                    let unreserved =
                        of.and_above().into_iter().map(|account| (account, Some(micro))).collect::<Vec<_>>();
                    model
                        .unreserved
                        .extend(unreserved.iter().map(|(account, micro)| (account.clone(), micro.unwrap_or(0))));
                    world.commit(BurnEpoch { unreserved, ..BurnEpoch::default() }).await;
                }
            }
            for standing in world.ledger.standings("acme").await.expect("standings") {
                let (of, limit) = &model.limits[standing.budget.as_str()];
                assert_eq!(standing.available_micro(), limit - model.taken(of), "step {step}: {standing:?}");
            }
        }
        assert!(made.len() > 50, "{} were admitted", made.len());
        reconcile(&world).await;
    })
    .await;
}
