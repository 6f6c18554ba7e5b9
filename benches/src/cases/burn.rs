//! Usage through the burn pipeline, beside the loop that one would write by hand.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use gravity_api::serving::burn::Burn;
use gravity_events::body::{Price, PricePublished, PriceTier, UsageTokens};
use gravity_events::burn::{Cell, Charged, Item, MINUTE_MS, Usage};
use gravity_events::publish::{BurnEpoch, BurnSink};
use gravity_events::{Body, Id, Record, Topic, codec};
use gravity_ingest::log::Log;
use gravity_operators::metering::prices::{Book, PriceList};
use gravity_pipelines::runtime::{Options, Runtime};
use serde::{Deserialize, Serialize};

use super::throughput::{Bounds, middle};
use crate::contest::mix;
use crate::log;
use crate::peers::Task;
use crate::report::{Row, at_most};
use crate::usage::{Meter, Used};
use crate::{Run, part, say};

const TOPICS: [Topic; 2] = [Topic::Reference, Topic::Usage];
const TENANTS: u64 = 4;
/// 28 May 2026, 20:26:40 UTC.
pub const START_MS: i64 = 1_780_000_000_000;

/// A log of usage to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FillTask {
    pub dir: PathBuf,
    pub records: u64,
}

/// What came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    used: Used,
    digest: String,
}

/// Record `n` of usage, of a day in all, each of its dimensions by itself. Every twentieth comes again.
pub fn usage(n: u64) -> Record {
    let n = if n % 20 == 19 { n - 7 } else { n };
    let one_of = |stream: u64, count: u64| mix(0, stream, n) % count;
    let input_tokens = one_of(0, 8_000);
    let participant = one_of(1, 2_000);
    let body = UsageTokens {
        model: Id::from(format!("model-{}", one_of(2, 6))),
        input_tokens,
        output_tokens: one_of(3, 700),
        cached_tokens: input_tokens / 3,
        team: Some(format!("team-{}", participant % 5).into()),
        lab: None,
    };
    Record {
        id: format!("u{n}").into(),
        source: "gateway".into(),
        tenant: format!("t{}", one_of(4, TENANTS)).into(),
        event: None,
        subject: Some(format!("p-{participant}").into()),
        time_ms: Some(START_MS + one_of(5, 1_440) as i64 * MINUTE_MS),
        backfill: true,
        body: Body::UsageTokens(body),
    }
}

/// The price list of each tenant, with a tier.
pub fn prices() -> impl Iterator<Item = Record> {
    (0..TENANTS).map(|tenant| {
        let price = |model: u64, kind: &str, micro_per_million: i64| Price {
            model: format!("model-{model}").into(),
            kind: kind.into(),
            micro_per_million,
            tiers: vec![PriceTier { above_units: 1_000_000, micro_per_million: micro_per_million / 2 }],
        };
        let prices = (0..6).flat_map(|m| [price(m, "input", 3_000_000), price(m, "output", 15_000_000)]).collect();
        let list =
            PricePublished { price_list: "l".into(), version: 1, currency: "EUR".into(), effective_at: None, prices };
        Record {
            id: "prices".into(),
            source: "owner".into(),
            tenant: format!("t{tenant}").into(),
            event: None,
            subject: None,
            time_ms: None,
            backfill: true,
            body: Body::PricePublished(list),
        }
    })
}

/// Makes a log. Run in a process of its own.
pub fn fill(task: FillTask) -> anyhow::Result<u64> {
    log::fill_with(&task.dir, prices().chain((0..task.records).map(usage)))
}

/// Takes the epochs as the server does, and tells how far they are.
pub struct Watch {
    pub burn: Burn,
    pub bounds: Bounds,
}

impl BurnSink for Watch {
    fn publish_burn(&self, epoch: Arc<BurnEpoch>) {
        self.burn.publish_burn(epoch.clone());
        self.bounds.reached(&epoch.bound);
    }
}

/// The pipeline on a log, with the serving index.
pub fn start(task: &Task, log: Arc<dyn Log>) -> anyhow::Result<(Runtime, Arc<Watch>)> {
    let watch = Arc::new(Watch { burn: Burn::default(), bounds: Bounds::default() });
    let definition = Arc::new(gravity_pipelines::burn::Burn::new(watch.clone()));
    let runtime = Runtime::start(definition, log, Options::new(task.dir.clone(), 2));
    Ok((runtime.context("the pipeline does not start")?, watch))
}

/// Runs the pipeline over a log. Run in a process of its own.
pub fn chain(task: Task) -> anyhow::Result<Answer> {
    gravity_pipelines::runtime::memory::avoid_huge_pages();
    let log = Arc::new(log::open(&task.log)?);
    let meter = Meter::start();
    let (pipeline, watch) = start(&task, log.clone())?;
    watch.bounds.wait(&*log, &TOPICS)?;
    pipeline.stop();
    let used = meter.used();
    let cells = watch.burn.snapshot().tenants.into_iter().flat_map(|(_, _, cells)| cells);
    let digest = digest(cells.collect());
    log.close();
    Ok(Answer { used, digest })
}

/// The loop: nothing is kept. Run in a process of its own.
pub fn plain(task: Task) -> anyhow::Result<Answer> {
    let log = log::open(&task.log)?;
    let meter = Meter::start();
    let mut seen = HashSet::with_hasher(foldhash::fast::RandomState::default());
    let mut sums: HashMap<Cell, Usage, _> = HashMap::with_hasher(foldhash::fast::RandomState::default());
    let mut lists: BTreeMap<Id, Vec<PriceList>> = BTreeMap::new();
    log::for_each(&log, &TOPICS, |entry| {
        let (record, identity) = codec::decode_full(&entry.value)?;
        if !seen.insert(identity.id) {
            return Ok(());
        }
        match record.body {
            Body::PricePublished(list) => {
                lists.entry(record.tenant).or_default().push(PriceList::of(record.event.as_ref(), &list));
            }
            Body::UsageTokens(used) => {
                let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                let cell = Cell {
                    tenant: record.tenant,
                    item: Item::Model(used.model),
                    minute: record.time_ms.unwrap_or(0).div_euclid(MINUTE_MS),
                    event: record.event,
                    team: used.team,
                    lab: used.lab,
                    reserved: false,
                };
                let sum = sums.entry(cell).or_default();
                *sum = sum.plus(&Usage {
                    records: 1,
                    input_tokens: number(used.input_tokens),
                    output_tokens: number(used.output_tokens),
                    cached_tokens: number(used.cached_tokens),
                    duration_ms: 0,
                });
            }
            _ => {}
        }
        Ok(())
    })?;
    let mut items: BTreeMap<(Id, Item), BTreeMap<Cell, Usage>> = BTreeMap::new();
    for (cell, usage) in sums {
        items.entry((cell.tenant.clone(), cell.item.clone())).or_default().insert(cell, usage);
    }
    let books: BTreeMap<Id, Book> = lists.iter().map(|(tenant, lists)| (tenant.clone(), Book::new(lists))).collect();
    let charged = items.iter().flat_map(|((tenant, _), cells)| books[tenant].charge(cells)).collect();
    Ok(Answer { used: meter.used(), digest: digest(charged) })
}

/// Of all cells with their charges.
fn digest(mut cells: Vec<(Cell, Charged)>) -> String {
    cells.sort();
    let mut hash = blake3::Hasher::new();
    for (cell, charged) in &cells {
        hash.update(format!("{cell:?} {charged:?}\n").as_bytes());
    }
    format!("{} cells, {}", cells.len(), &hash.finalize().to_hex()[..16])
}

/// The case.
pub fn run(run: &Run) -> anyhow::Result<Vec<Row>> {
    let records = run.records.unwrap_or(run.scaled(2_000_000));
    let (log, dir) = (run.dir.join("log"), run.dir.clone());
    let made: u64 = part::call("fill_usage", &FillTask { dir: log.clone(), records })?;
    say(format!("burn: a log of {made} records"));
    let task = Task { log, dir: dir.clone() };
    let plain: Answer = middle("hand-written loop", |a: &Answer| &a.used, || part::call("burn_loop", &task))?;
    let chain: Answer = middle(
        "pipeline",
        |a: &Answer| &a.used,
        || {
            // Its outputs go to the log: each run has one of its own.
            let task = Task { log: dir.join("log-chain"), dir: dir.join("chain") };
            part::call::<u64>("fill_usage", &FillTask { dir: task.log.clone(), records })?;
            let answer = part::call("burn_chain", &task);
            std::fs::remove_dir_all(&task.log)?;
            std::fs::remove_dir_all(&task.dir)?;
            answer
        },
    )?;
    ensure!(chain.digest == plain.digest, "the charges differ: {} and {}", chain.digest, plain.digest);
    let load =
        format!("{} k records of usage with 5 % duplicates, {}, the middle one of 3 runs", made / 1_000, chain.digest);
    let per_million = |used: &Used| used.cpu_s * 1e6 / made as f64;
    let (wall, cpu) = (chain.used.wall_s / plain.used.wall_s, chain.used.cpu_s / plain.used.cpu_s);
    let row = |figure: String, peer: String, ratio: f64, target: String| Row {
        case: "burn",
        load: load.clone(),
        figure,
        peer,
        ratio: format!("{ratio:.2}"),
        target,
    };
    Ok(vec![
        row(
            format!(
                "{:.1} s, {:.0} k records/s, all durable",
                chain.used.wall_s,
                made as f64 / chain.used.wall_s / 1e3
            ),
            format!("hand-written loop, nothing durable: {:.1} s", plain.used.wall_s),
            wall,
            at_most((wall * 100.0).round() / 100.0, 2.0, ""),
        ),
        row(
            format!("{:.2} CPU s per million", per_million(&chain.used)),
            format!("hand-written loop: {:.2}", per_million(&plain.used)),
            cpu,
            at_most((cpu * 100.0).round() / 100.0, 3.5, ""),
        ),
        row(
            format!("peak memory {:.0} MB", chain.used.peak_bytes as f64 / 1e6),
            format!("hand-written loop: {:.0} MB", plain.used.peak_bytes as f64 / 1e6),
            chain.used.peak_bytes as f64 / plain.used.peak_bytes as f64,
            "-".into(),
        ),
    ])
}
