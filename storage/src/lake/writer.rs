//! The writer: follows the topics and brings what counted into the tables, a commit every few seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gravity_events::Topic;
use gravity_ingest::failpoint::Failpoints;
use gravity_ingest::log::{Bound, Log, LogError, scan};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use parking_lot::RwLock;
use prometheus::{
    IntCounter, IntCounterVec, IntGaugeVec, register_int_counter, register_int_counter_vec, register_int_gauge_vec,
};
use tokio_util::sync::CancellationToken;

use super::LakeError;
use super::collect::{Ranges, collect};
use super::follower::Accepted;
use super::schema::{Table, tables};
use super::table::{LakeTable, Positions};
use crate::objects::Objects;

/// How the writer works.
#[derive(Clone, Debug)]
pub struct LakeOptions {
    /// Time between commits.
    pub interval: Duration,
    /// Rows of a commit at most: what is held in memory.
    pub rows_max: usize,
    /// Small files that are put together once there are so many more of them.
    pub compact_files: usize,
    /// Rows of days that began so long ago are taken away; None: all are kept.
    pub retention: Option<Duration>,
    /// Objects that no row has been in for so long are deleted.
    pub vacuum_after: Duration,
    /// Time between two rounds of that.
    pub upkeep_interval: Duration,
    /// For tests.
    pub failpoints: Failpoints,
}

impl Default for LakeOptions {
    fn default() -> LakeOptions {
        LakeOptions {
            interval: Duration::from_secs(5),
            rows_max: 20_000,
            compact_files: 64,
            retention: None,
            vacuum_after: Duration::from_secs(24 * 3_600),
            upkeep_interval: Duration::from_secs(3_600),
            failpoints: Failpoints::of_process(),
        }
    }
}
/// How long the writer waits after a failure, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Under which name it holds records in the log.
const HOLDER: &str = "lake";

static ROWS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("gravity_lake_rows_total", "Rows committed.", &["table"])
        .expect("metrics are registered once")
});
static COMMITS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("gravity_lake_commits_total", "Commits.", &["table"])
        .expect("metrics are registered once")
});
static FILES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("gravity_lake_files", "Files that hold a table's rows.", &["table"])
        .expect("metrics are registered once")
});
static ERRORS: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!("gravity_lake_errors_total", "Failures after which the writer began again.")
        .expect("metrics are registered once")
});

/// The lake's writer.
pub struct LakeWriter {
    log: Arc<dyn Log>,
    objects: Objects,
    options: LakeOptions,
    /// Tells of every pass after which all that was judged is in the tables.
    passes: tokio::sync::watch::Sender<u64>,
}

/// A table with how far it is.
struct Following {
    table: LakeTable,
    /// All before these offsets is in the table, or is none of its rows.
    read: Positions,
    /// Files after the last compaction.
    compacted_files: usize,
}

/// How far all is; a hint that spares reading again. It may be old, or lost: tables know themselves what they hold.
#[derive(Default)]
struct Hint {
    /// From where the accepted topic is to be read.
    accepted: BTreeMap<u32, u64>,
    /// By table.
    read: BTreeMap<String, Positions>,
}

impl LakeWriter {
    /// A writer into a place for objects.
    pub fn new(log: Arc<dyn Log>, objects: Objects, options: LakeOptions) -> LakeWriter {
        // Shown from the start: a counter that begins with its first failure shows no increase then.
        LazyLock::force(&ERRORS);
        LakeWriter { log, objects, options, passes: tokio::sync::watch::Sender::default() }
    }

    /// Tells, by a number that grows, of each pass through everything that was judged when it began.
    pub fn passes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.passes.subscribe()
    }

    /// Writes until it is told to stop, and then what is there once more. Failures are logged, counted, and tried again.
    pub async fn run(&self, stop: CancellationToken) {
        let mut wait = RETRY.0;
        loop {
            let began = tokio::time::Instant::now();
            match self.follow(&stop).await {
                Ok(()) => return,
                Err(error) => {
                    ERRORS.inc();
                    tracing::warn!(%error, "the lake begins again");
                }
            }
            wait = if began.elapsed() > RETRY.1 { RETRY.0 } else { (wait * 2).min(RETRY.1) };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn follow(&self, stop: &CancellationToken) -> Result<(), LakeError> {
        let hint = self.load_hint().await;
        let accepted = Arc::new(RwLock::new(Accepted::default()));
        let mut cursor: BTreeMap<u32, u64> = BTreeMap::new();
        for partition in 0..self.log.partitions(Topic::Accepted) {
            let (first, _) = self.log.range(Topic::Accepted, partition)?;
            cursor.insert(partition, hint.accepted.get(&partition).copied().unwrap_or(0).max(first));
        }
        let mut following = Vec::new();
        for spec in tables() {
            following.push(self.open(spec, &hint).await?);
        }
        let mut kept_up = None;
        loop {
            let stopping = stop.is_cancelled();
            cursor = self.read_accepted(accepted.clone(), cursor).await?;
            let mut changed = false;
            for table in &mut following {
                // To where its topics end now: what comes meanwhile waits for the next pass, or no pass would ever end.
                let ranges = self.ranges(table.table.spec.clone()).await?;
                while self.advance(table, &accepted, &ranges).await? {
                    changed = true;
                }
            }
            if changed {
                self.options.failpoints.pass("lake.before_hold")?;
                self.keep_hint(&following, &cursor).await?;
                self.hold(&following, &cursor, &accepted);
            }
            self.passes.send_modify(|n| *n += 1);
            if stopping {
                return Ok(());
            }
            for table in &mut following {
                self.compact(table).await?;
            }
            if kept_up.is_none_or(|at: Instant| at.elapsed() >= self.options.upkeep_interval) {
                for table in &mut following {
                    self.keep_up(&mut table.table).await?;
                }
                kept_up = Some(Instant::now());
            }
            tokio::select! {
                () = tokio::time::sleep(self.options.interval) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn open(&self, spec: Table, hint: &Hint) -> Result<Following, LakeError> {
        let topics = spec.topics;
        let table = LakeTable::open(&self.objects, Arc::new(spec)).await?;
        let mut partitions: Vec<(Topic, u32)> = Vec::new();
        for topic in topics {
            partitions.extend((0..self.log.partitions(*topic)).map(|partition| (*topic, partition)));
        }
        let mut read = table.positions(&partitions).await?;
        // What the table says is so. The hint may know of more that held no row of it.
        for (at, offset) in hint.read.get(table.spec.name).into_iter().flatten() {
            let known = read.entry(*at).or_default();
            *known = (*known).max(*offset);
        }
        let compacted_files = 0;
        Ok(Following { table, read, compacted_files })
    }

    /// Reads what was told since; gives how far.
    async fn read_accepted(
        &self,
        accepted: Arc<RwLock<Accepted>>,
        mut cursor: BTreeMap<u32, u64>,
    ) -> Result<BTreeMap<u32, u64>, LakeError> {
        let log = self.log.clone();
        blocking(move || {
            for (partition, from) in &mut cursor {
                let (_, end) = log.range(Topic::Accepted, *partition)?;
                for entry in scan(&*log, Topic::Accepted, *partition, *from, end) {
                    accepted.write().take(&entry?);
                }
                *from = end.max(*from);
            }
            Ok(cursor)
        })
        .await
    }

    /// Brings the next rows into a table. False: there was nothing to read.
    /// Where the topics of a table begin and end.
    async fn ranges(&self, spec: Arc<Table>) -> Result<Arc<Ranges>, LakeError> {
        let log = self.log.clone();
        blocking(move || {
            let mut ranges = Ranges::new();
            for topic in spec.topics {
                for partition in 0..log.partitions(*topic) {
                    ranges.insert((*topic, partition), log.range(*topic, partition)?);
                }
            }
            Ok(Arc::new(ranges))
        })
        .await
    }

    /// One commit, of what is not in the table yet and in these ranges. Says whether there was any.
    async fn advance(
        &self,
        following: &mut Following,
        accepted: &Arc<RwLock<Accepted>>,
        ranges: &Arc<Ranges>,
    ) -> Result<bool, LakeError> {
        let failpoints = &self.options.failpoints;
        failpoints.pass("lake.before_read")?;
        let (log, spec) = (self.log.clone(), following.table.spec.clone());
        let (accepted, read, rows_max) = (accepted.clone(), following.read.clone(), self.options.rows_max);
        let ranges = ranges.clone();
        let (rows, read) = blocking(move || collect(&*log, &spec, &accepted.read(), read, &ranges, rows_max)).await?;
        if read == following.read {
            return Ok(false);
        }
        if !rows.is_empty() {
            let moved = read.iter().filter(|(at, offset)| following.read.get(*at) != Some(*offset));
            let moved: Positions = moved.map(|(at, offset)| (*at, *offset)).collect();
            failpoints.pass("lake.before_write")?;
            following.table.append(&rows, &moved).await?;
            failpoints.pass("lake.after_write")?;
            let name = [following.table.spec.name];
            ROWS.with_label_values(&name).inc_by(rows.len() as u64);
            COMMITS.with_label_values(&name).inc();
            FILES.with_label_values(&name).set(i64::try_from(following.table.files()?).unwrap_or(i64::MAX));
        }
        following.read = read;
        Ok(true)
    }

    async fn compact(&self, following: &mut Following) -> Result<(), LakeError> {
        let files = following.table.files()?;
        if files < following.compacted_files + self.options.compact_files {
            return Ok(());
        }
        self.options.failpoints.pass("lake.before_compact")?;
        let removed = following.table.compact().await?;
        self.options.failpoints.pass("lake.after_compact")?;
        following.compacted_files = following.table.files()?;
        tracing::debug!(
            table = following.table.spec.name,
            files,
            removed,
            left = following.compacted_files,
            "compacted"
        );
        Ok(())
    }

    /// Takes away what is older than is kept, and deletes what nobody needs.
    async fn keep_up(&self, table: &mut LakeTable) -> Result<(), LakeError> {
        self.options.failpoints.pass("lake.before_upkeep")?;
        let mut dropped = 0;
        if let Some(retention) = self.options.retention {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let day = now.saturating_sub(retention).as_secs() / 86_400;
            dropped = table.drop_days_before(i32::try_from(day).unwrap_or(i32::MAX)).await?;
        }
        let deleted = table.vacuum(self.options.vacuum_after).await?;
        self.options.failpoints.pass("lake.after_upkeep")?;
        if dropped + deleted > 0 {
            tracing::info!(table = table.spec.name, dropped, deleted, "files of the lake taken away and deleted");
        }
        Ok(())
    }

    /// Retention leaves what is not in the lake yet; what was refused before is forgotten.
    fn hold(&self, following: &[Following], cursor: &BTreeMap<u32, u64>, accepted: &RwLock<Accepted>) {
        let mut least = Positions::new();
        for (at, offset) in following.iter().flat_map(|f| &f.read) {
            let known = least.entry(*at).or_insert(*offset);
            *known = (*known).min(*offset);
        }
        let mut accepted = accepted.write();
        for ((topic, partition), offset) in &least {
            accepted.forget(*topic, *partition, *offset);
        }
        let bound = |(topic, partition), offset: &u64| Bound { topic, partition, offset: *offset };
        let mut bounds: Vec<Bound> = least.iter().map(|(at, offset)| bound(*at, offset)).collect();
        bounds.extend(cursor.iter().map(|(partition, offset)| bound((Topic::Accepted, *partition), offset)));
        self.log.hold(HOLDER, &bounds);
    }

    fn hint_path(&self) -> Path {
        let prefix = Path::from_url_path(self.objects.url().path()).unwrap_or_default();
        prefix.join("_writer.json")
    }

    async fn keep_hint(&self, following: &[Following], cursor: &BTreeMap<u32, u64>) -> Result<(), LakeError> {
        let positions = |positions: &Positions| {
            let list = positions
                .iter()
                .map(|((topic, partition), offset)| serde_json::json!([topic.name(), partition, offset]));
            list.collect::<Vec<_>>()
        };
        let read: BTreeMap<&str, _> = following.iter().map(|f| (f.table.spec.name, positions(&f.read))).collect();
        let accepted: Vec<_> = cursor.iter().collect();
        let json = serde_json::json!({ "accepted": accepted, "read": read }).to_string();
        let put = self.objects.store().put(&self.hint_path(), PutPayload::from(json)).await;
        put.map(|_| ()).map_err(|e| LakeError::Interrupted(format!("its hint cannot be written: {e}")))
    }

    async fn load_hint(&self) -> Hint {
        let load = async {
            let bytes = self.objects.store().get(&self.hint_path()).await.ok()?.bytes().await.ok()?;
            let json: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
            let accepted = json["accepted"].as_array()?.iter();
            let accepted =
                accepted.filter_map(|pair| Some((u32::try_from(pair[0].as_u64()?).ok()?, pair[1].as_u64()?)));
            let position = |p: &serde_json::Value| {
                Some(((Topic::from_name(p[0].as_str()?)?, u32::try_from(p[1].as_u64()?).ok()?), p[2].as_u64()?))
            };
            let read = json["read"].as_object()?.iter().map(|(table, positions)| {
                (table.clone(), positions.as_array().into_iter().flatten().filter_map(position).collect())
            });
            Some(Hint { accepted: accepted.collect(), read: read.collect() })
        };
        load.await.unwrap_or_default()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LakeError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|e| LakeError::Interrupted(e.to_string()))??)
}
