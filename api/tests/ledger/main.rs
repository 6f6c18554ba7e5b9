//! The ledger of budgets, on SQLite and on a real PostgreSQL alike.

mod history;
#[path = "../../../storage/tests/support/postgres_server.rs"]
mod postgres_server;

use std::future::Future;
use std::sync::Arc;

use gravity_api::services::billing::ledger::{Applier, Ask, Ledger, LedgerError, Standing, State};
use gravity_events::body::BudgetSet;
use gravity_events::burn::{Account, Item, Usage};
use gravity_events::publish::{BurnEpoch, BurnSink};
use gravity_events::{Body, Id, Record, Topic, codec};
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions};
use gravity_ingest::log::{Limit, Log};
use gravity_ingest::segment::SyncMode;
use gravity_storage::database::{BILLING, Database};
use postgres_server::PostgresServer;

const NOW: i64 = 1_800_000_000_000;

/// A ledger that takes epochs, with a log for its outbox.
struct World {
    ledger: Ledger,
    applier: Arc<Applier>,
    log: Arc<EmbeddedLog>,
    url: Url,
    epoch: std::sync::atomic::AtomicU64,
    // Last: what the others hold is closed before.
    _postgres: Option<PostgresServer>,
    _dir: tempfile::TempDir,
}

#[derive(Clone)]
enum Url {
    File(std::path::PathBuf),
    Server(String),
}

impl Url {
    async fn open(&self) -> Database {
        let opened = match self {
            Url::File(path) => Database::file(path, "billing", &BILLING).await,
            Url::Server(url) => Database::open(url, "billing", &BILLING).await,
        };
        opened.expect("it opens")
    }
}

impl World {
    async fn of(url: Url, postgres: Option<PostgresServer>, dir: tempfile::TempDir) -> World {
        let ledger = Ledger::new(url.open().await);
        let options = EmbeddedOptions { sync: SyncMode::None, ..EmbeddedOptions::default() };
        let log = Arc::new(EmbeddedLog::open(&dir.path().join("log"), options).expect("a log"));
        let applier = Applier::new(ledger.clone());
        World { ledger, applier, log, url, epoch: 0.into(), _postgres: postgres, _dir: dir }
    }

    /// A process that starts again on the same database, and knows of no epoch yet.
    async fn again(&self) -> (Ledger, Arc<Applier>) {
        let ledger = Ledger::new(self.url.open().await);
        (ledger.clone(), Applier::new(ledger))
    }

    /// Commits an epoch of the pipeline, and books it.
    async fn commit(&self, epoch: BurnEpoch) {
        let number = self.epoch.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        self.applier.publish_burn(Arc::new(BurnEpoch { epoch: number, snapshot: number == 1, ..epoch }));
        self.round(NOW).await;
        assert_eq!(self.applier.booked(), number);
    }

    async fn round(&self, now_ms: i64) {
        self.applier.round(&*self.log, now_ms).await.expect("a round");
    }

    /// What was appended to a topic.
    fn appended(&self, topic: Topic) -> Vec<Record> {
        let mut records = Vec::new();
        for partition in 0..self.log.partitions(topic) {
            let limit = Limit { records: 1_000, bytes: 1 << 20 };
            let entries = self.log.read(topic, partition, 0, limit).expect("it reads");
            records.extend(entries.iter().map(|entry| codec::decode(&entry.value).expect("a record")));
        }
        records
    }
}

/// Runs a test on each kind of database.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    let dir = tempfile::tempdir().expect("a folder");
    // Spaces and signs are part of some people's folders.
    let url = Url::File(dir.path().join("bil ling#?%.db"));
    test(World::of(url, None, dir).await).await;
    let server = PostgresServer::start();
    let url = Url::Server(server.url());
    test(World::of(url, Some(server), tempfile::tempdir().expect("a folder")).await).await;
}

fn account(event: &str, team: &str) -> Account {
    let id = |text: &str| Some(Id::from(text)).filter(|id| !id.is_empty());
    Account { tenant: "acme".into(), event: id(event), team: id(team) }
}

fn ask(id: &str, account: Account, amount_micro: i64) -> Ask {
    Ask {
        reservation: id.into(),
        account,
        lab: None,
        item: Item::Model("m".into()),
        amount_micro,
        currency: "EUR".into(),
        asked: format!("{amount_micro}"),
        expires_at_ms: NOW + 60_000,
    }
}

fn budget(name: &str, event: &str, team: &str, limit_micro: i64) -> ((Id, Option<Id>, Id), Option<BudgetSet>) {
    let of = account(event, team);
    let set = BudgetSet {
        budget: name.into(),
        team: of.team,
        limit_micro,
        currency: "EUR".into(),
        alerts_bp: vec![5_000, 10_000],
        soft: false,
    };
    ((of.tenant, of.event, name.into()), Some(set))
}

fn used(input_tokens: i64) -> Usage {
    Usage { records: 1, input_tokens, ..Usage::default() }
}

async fn standing(ledger: &Ledger, name: &str) -> Standing {
    let all = ledger.standings("acme").await.expect("standings");
    all.into_iter().find(|s| s.budget == name).expect("the budget is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_at_once_a_budget_admits_exactly_as_many_as_it_has_room_for() {
    on_each(|world| async move {
        world.commit(BurnEpoch { budgets: vec![budget("all", "", "", 400_000)], ..BurnEpoch::default() }).await;
        let tasks: Vec<_> = (0..1_000)
            .map(|n| {
                let ledger = world.ledger.clone();
                let team = format!("team{}", n % 50);
                tokio::spawn(async move {
                    loop {
                        match ledger.reserve(&ask(&format!("r{n}"), account("e", &team), 1_000), NOW).await {
                            // All connections are taken for a while: a client tries again, with the same id.
                            Err(LedgerError::Database(error)) => assert!(error.to_string().contains("pool"), "{error}"),
                            other => return other,
                        }
                    }
                })
            })
            .collect();
        let (mut admitted, mut refused) = (0, 0);
        for task in tasks {
            match task.await.expect("no panic") {
                Ok((_, true)) => admitted += 1,
                Err(LedgerError::OverBudget { budget, available_micro: 0, asked_micro: 1_000 }) if budget == "all" => {
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((admitted, refused), (400, 600));
        let all = standing(&world.ledger, "all").await;
        assert_eq!((all.reserved_micro, all.available_micro()), (400_000, 0));
        history::reconcile(&world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_stays_within_the_budgets_of_its_event_and_tenant_too() {
    on_each(|world| async move {
        let budgets = vec![budget("all", "", "", 1_000), budget("event", "e", "", 500), budget("team", "e", "t", 300)];
        world.commit(BurnEpoch { budgets, ..BurnEpoch::default() }).await;
        let reserve = async |id: &str, of: Account, micro: i64| {
            let reserved = world.ledger.reserve(&ask(id, of, micro), NOW).await;
            reserved.map(|_| String::new()).unwrap_or_else(|error| match error {
                LedgerError::OverBudget { budget, available_micro, .. } => format!("{budget} {available_micro}"),
                other => panic!("{other}"),
            })
        };
        assert_eq!(reserve("1", account("e", "t"), 301).await, "team 300");
        assert_eq!(reserve("1", account("e", "t"), 300).await, "", "what was refused left nothing behind");
        assert_eq!(reserve("2", account("e", "u"), 201).await, "event 200");
        assert_eq!(reserve("2", account("f", "t"), 701).await, "all 700");
        assert_eq!(reserve("2", account("", ""), 700).await, "");
        assert_eq!(reserve("3", account("e", "u"), 1).await, "all 0");
        // What the stream says lowers what is left, and a soft budget lets all in.
        let mut soft = budget("all", "", "", 1_000);
        soft.1.as_mut().expect("it is set").soft = true;
        let unreserved = vec![(account("e", ""), Some(150)), (account("", ""), Some(150))];
        world.commit(BurnEpoch { budgets: vec![soft], unreserved, ..BurnEpoch::default() }).await;
        assert_eq!(reserve("3", account("e", "u"), 51).await, "event 50");
        assert_eq!(reserve("3", account("e", "u"), 50).await, "");
        assert_eq!(standing(&world.ledger, "all").await.available_micro(), -200);
        // A budget that is not set any more limits nothing.
        let (key, _) = budget("event", "e", "", 0);
        world.commit(BurnEpoch { budgets: vec![(key, None)], ..BurnEpoch::default() }).await;
        assert_eq!(reserve("4", account("e", "u"), 1_000).await, "");
        let mut dollars = ask("5", account("e", "t"), 0);
        dollars.currency = "USD".into();
        let error = world.ledger.reserve(&dollars, NOW).await.expect_err("another currency");
        assert_eq!(error.to_string(), "budget `team` is in EUR, and the tenant's prices are in USD");
        history::reconcile(&world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_ends_once_however_often_it_is_said() {
    on_each(|world| async move {
        world.commit(BurnEpoch { budgets: vec![budget("all", "", "", 1_000)], ..BurnEpoch::default() }).await;
        let ledger = &world.ledger;
        let counts = async || {
            let all = standing(ledger, "all").await;
            (all.settled_micro, all.reserved_micro)
        };
        let (first, fresh) = ledger.reserve(&ask("a", account("e", "t"), 600), NOW).await.expect("held");
        assert_eq!((first.state, fresh, counts().await), (State::Open, true, (0, 600)));
        let again = ledger.reserve(&ask("a", account("e", "t"), 600), NOW + 5).await.expect("the same");
        assert_eq!((again, counts().await), ((first.clone(), false), (0, 600)));
        let other = ledger.reserve(&ask("a", account("e", "t"), 601), NOW).await.expect_err("another");
        assert!(matches!(other, LedgerError::Other(_)), "{other}");
        // Settled with less, twice; not with something else; not released.
        for _ in 0..2 {
            let settled = ledger.settle(&first, &used(10), 250, NOW).await.expect("settled");
            assert_eq!((settled.state, settled.settled_micro, counts().await), (State::Settled, 250, (250, 0)));
        }
        assert!(matches!(ledger.settle(&first, &used(11), 250, NOW).await, Err(LedgerError::Other(_))));
        assert!(matches!(ledger.release("a", NOW).await, Err(LedgerError::Closed(State::Settled))));
        // Released, twice, and not settled any more.
        let (second, _) = ledger.reserve(&ask("b", account("e", "t"), 750), NOW).await.expect("held");
        for _ in 0..2 {
            let released = ledger.release("b", NOW).await.expect("released");
            assert_eq!((released.state, counts().await), (State::Released, (250, 0)));
        }
        assert!(matches!(ledger.settle(&second, &used(1), 1, NOW).await, Err(LedgerError::Closed(State::Released))));
        // Expired: what it held is free, and what was used is charged all the same.
        let (third, _) = ledger.reserve(&ask("c", account("e", "t"), 700), NOW).await.expect("held");
        assert_eq!(ledger.expire(third.ask.expires_at_ms - 1).await.expect("none"), 0);
        world.round(third.ask.expires_at_ms).await;
        assert_eq!((ledger.get("c").await.expect("it is there").state, counts().await), (State::Expired, (250, 0)));
        let settled = ledger.settle(&third, &used(90), 900, NOW).await.expect("settled late");
        assert_eq!((settled.state, counts().await), (State::Settled, (1_150, 0)));
        assert!(matches!(ledger.get("d").await, Err(LedgerError::Unknown)));
        // The stream learns of what was used, under the reservations' ids, and of the marks that were passed.
        world.round(NOW).await;
        let usage = world.appended(Topic::Usage);
        let mut told: Vec<_> = usage
            .iter()
            .map(|record| {
                let Body::UsageTokens(body) = &record.body else { panic!("{record:?}") };
                (
                    record.id.as_str(),
                    record.source.as_str(),
                    record.event.as_deref(),
                    body.team.as_deref(),
                    body.input_tokens,
                )
            })
            .collect();
        told.sort();
        let of = |id, tokens| (id, "gravity:reservations", Some("e"), Some("t"), tokens);
        assert_eq!(told, [of("a", 10), of("c", 90)]);
        let alerts = world.appended(Topic::Alerts);
        let mut marks: Vec<_> = alerts
            .iter()
            .map(|record| match &record.body {
                Body::BudgetAlert(alert) => (alert.budget.as_str(), alert.mark_bp, alert.spent_micro),
                other => panic!("{other:?}"),
            })
            .collect();
        marks.sort();
        assert_eq!(marks, [("all", 5_000, 1_150), ("all", 10_000, 1_150)]);
        history::reconcile(&world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn epochs_are_booked_once_also_by_a_process_that_begins_anew() {
    on_each(|world| async move {
        let spent = |event: &str, micro: Option<i64>| (account(event, ""), micro);
        let budgets = vec![budget("e", "e", "", 100), budget("f", "f", "", 100)];
        let unreserved = vec![spent("e", Some(10)), spent("f", Some(20))];
        world.commit(BurnEpoch { budgets, unreserved, ..BurnEpoch::default() }).await;
        world.commit(BurnEpoch { unreserved: vec![spent("e", Some(60))], ..BurnEpoch::default() }).await;
        let unreserved = async |ledger: &Ledger| {
            let all = ledger.standings("acme").await.expect("standings");
            all.into_iter().map(|s| (s.budget.to_string(), s.unreserved_micro)).collect::<Vec<_>>()
        };
        let rows = |e: i64, f: i64| vec![("e".to_owned(), e), ("f".to_owned(), f)];
        assert_eq!(unreserved(&world.ledger).await, rows(60, 20));
        assert_eq!(world.appended(Topic::Alerts).len(), 1);
        // It begins with all there is: what is gone meanwhile is gone here, too, and nothing is told again.
        let (ledger, applier) = world.again().await;
        let snapshot = |epoch, e: i64| {
            let budgets = vec![budget("e", "e", "", 100), budget("f", "f", "", 100)];
            BurnEpoch { epoch, snapshot: true, budgets, unreserved: vec![spent("e", Some(e))], ..BurnEpoch::default() }
        };
        applier.publish_burn(Arc::new(snapshot(7, 70)));
        applier.round(&*world.log, NOW).await.expect("a round");
        assert_eq!((unreserved(&ledger).await, applier.booked()), (rows(70, 0), 7));
        assert_eq!(world.appended(Topic::Alerts).len(), 1);
        // Another process has booked meanwhile: all is booked anew.
        let (_, third) = world.again().await;
        third.publish_burn(Arc::new(snapshot(9, 90)));
        third.round(&*world.log, NOW).await.expect("a round");
        applier.publish_burn(Arc::new(BurnEpoch {
            epoch: 8,
            unreserved: vec![spent("f", Some(5))],
            ..BurnEpoch::default()
        }));
        applier.round(&*world.log, NOW).await.expect("a round");
        assert_eq!((unreserved(&ledger).await, applier.booked()), (rows(70, 5), 8));
        // Below the mark and past it again: it is told again.
        for (epoch, micro) in [(9, 40), (10, 50)] {
            let unreserved = vec![spent("e", Some(micro))];
            applier.publish_burn(Arc::new(BurnEpoch { epoch, unreserved, ..BurnEpoch::default() }));
            applier.round(&*world.log, NOW + 1).await.expect("a round");
        }
        assert_eq!(world.appended(Topic::Alerts).len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_waited_for_and_nothing_is_left_out() {
    // It is away at the start, too.
    let server = PostgresServer::start();
    server.kill();
    let url = Url::Server(server.url());
    let world = World::of(url, None, tempfile::tempdir().expect("a folder")).await;
    assert!(world.applier.round(&*world.log, NOW).await.is_err());
    assert!(matches!(world.ledger.standings("acme").await, Err(LedgerError::Database(_))));
    server.start_again();
    world.commit(BurnEpoch { budgets: vec![budget("all", "", "", 1_000)], ..BurnEpoch::default() }).await;
    let (held, _) = world.ledger.reserve(&ask("a", account("", ""), 10), NOW).await.expect("held");
    server.kill();
    let spent = vec![(account("", ""), Some(7))];
    world.applier.publish_burn(Arc::new(BurnEpoch { epoch: 2, unreserved: spent, ..BurnEpoch::default() }));
    assert!(world.applier.round(&*world.log, NOW).await.is_err());
    assert!(matches!(world.ledger.settle(&held, &used(1), 5, NOW).await, Err(LedgerError::Database(_))));
    server.start_again();
    world.round(NOW).await;
    world.ledger.settle(&held, &used(1), 5, NOW).await.expect("settled");
    let all = standing(&world.ledger, "all").await;
    assert_eq!((all.settled_micro, all.reserved_micro, all.unreserved_micro), (5, 0, 7));
}

#[tokio::test]
async fn an_address_that_cannot_be_used_says_why_and_keeps_its_password() {
    for url in ["mysql://root:secret@host/x", "postgres://u:secret@127.0.0.1:notaport/x"] {
        let error = Database::open(url, "billing", &BILLING).await.expect_err("no database").to_string();
        assert!(!error.contains("secret") && error.contains("postgres://"), "{error}");
    }
}
