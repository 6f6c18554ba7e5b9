//! A running process: which roles it has, and the order in which they start and drain.

mod background;
mod sinks;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use gravity_api::ServerOptions;
use gravity_api::app::{AppState, router};
use gravity_api::bulk::Bulk;
use gravity_api::http::Tokens;
use gravity_api::http::server::listen;
use gravity_api::services::analytics::sql::scope_of_token;
use gravity_api::services::billing::budgets::Budgets;
use gravity_api::services::billing::ledger::{Applier, Ledger};
use gravity_api::serving::analytics::Analytics;
use gravity_api::serving::burn::Burn;
use gravity_api::serving::flags::Flags;
use gravity_api::serving::{Boards, BoardsOptions};
use gravity_api::traces::{self, Sending};
use gravity_api::visibility::Visibility;
use gravity_events::Topic;
use gravity_ingest::log::Log;
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions, Retention};
use gravity_ingest::log::kafka::{KafkaLog, KafkaOptions};
use gravity_ingest::segment::SyncMode;
use gravity_pipelines::runtime::{Options, Runtime};
use gravity_storage::database::{self, Database};
use gravity_storage::lake::writer::{LakeOptions, LakeWriter};
use gravity_storage::objects::Objects;
use gravity_storage::sql::SqlEngine;
use gravity_storage::sql::wire::{self, WireServer};
use tokio_util::sync::CancellationToken;

use self::background::Background;
use self::sinks::Sinks;
use crate::commands::erase::PLAN_FILE;
use crate::commands::up::TOKEN_FILE;
use crate::config::{Config, LogKind};
use crate::observe::observe;
use crate::operations::NodeOperations;

/// Part of the platform that a process may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// The boards pipeline
    Boards,
    /// The burn pipeline: usage and prices to what it costs
    Burn,
    /// The labs pipeline: telemetry to alerts
    Labs,
    /// The similarity pipeline: sources to pairs that are alike
    Similarity,
    /// The analytics pipeline: meters, and views of events
    Analytics,
    /// The lake's writer: what counted, into object storage
    Lake,
    /// HTTP: ingest, boards, streams, operations
    Api,
}

impl Role {
    /// Every role, in the order in which they start.
    pub const ALL: [Role; 7] =
        [Role::Boards, Role::Burn, Role::Labs, Role::Similarity, Role::Analytics, Role::Lake, Role::Api];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Boards => "boards",
            Role::Burn => "burn",
            Role::Labs => "labs",
            Role::Similarity => "similarity",
            Role::Analytics => "analytics",
            Role::Lake => "lake",
            Role::Api => "api",
        }
    }
}

/// A running process.
pub struct Node {
    log: Arc<dyn Log>,
    operations: Arc<NodeOperations>,
    http: Option<(SocketAddr, tokio::task::JoinHandle<()>)>,
    sql: Option<SocketAddr>,
    metrics: Option<tokio::task::JoinHandle<()>>,
    lake: Option<tokio::task::JoinHandle<()>>,
    /// Where large requests, queries and the lake's writer work.
    _background: [Background; 3],
    /// Ends the lake's writer, after the pipelines.
    lake_ends: CancellationToken,
    /// Sends traces until it is dropped.
    traces: Option<Sending>,
    shutdown: CancellationToken,
    _lock: fs::File,
}

/// How long a stopping process waits for a pipeline's last commit.
const DRAIN: Duration = Duration::from_secs(30);
/// How long it waits for the lake, which goes on by itself at the next start.
const LAKE_DRAIN: Duration = Duration::from_secs(5);

impl Node {
    /// Starts the log, then pipelines, then HTTP.
    pub async fn start(config: &Config, roles: &[Role], dir: &Path, in_memory: bool) -> anyhow::Result<Node> {
        if ![Role::Boards, Role::Api].iter().all(|r| roles.contains(r)) {
            bail!("in this build the roles `boards` and `api` run in one process: say --role boards,api");
        }
        fs::create_dir_all(dir).with_context(|| format!("cannot create the data folder {}", dir.display()))?;
        let lock = lock(dir)?;
        let token = secret_file(&dir.join(TOKEN_FILE))?;
        let key = *blake3::hash(secret_file(&dir.join("cursor.key"))?.as_bytes()).as_bytes();
        let sync = if in_memory { SyncMode::None } else { SyncMode::Fsync };
        // On a thread of its own: a broker that is not there is waited for, and whoever waits may stop waiting.
        let (log_config, log_dir) = (config.clone(), dir.to_owned());
        let log = tokio::task::spawn_blocking(move || open_log(&log_config, &log_dir, sync)).await??;
        let traces = match config.traces.clone() {
            Some(options) => Some(tokio::task::spawn_blocking(move || traces::install(&options)).await??),
            None => None,
        };
        let boards = Boards::new(BoardsOptions::new(key));
        let mut topics = Visibility::boards_topics().to_vec();
        if roles.contains(&Role::Burn) {
            topics.push(Topic::Usage);
        }
        if roles.contains(&Role::Labs) {
            topics.extend([Topic::Telemetry, Topic::Labs]);
        }
        if roles.contains(&Role::Similarity) {
            topics.push(Topic::Sources);
        }
        let visibility = Visibility::new(topics).admitting(config.admission);
        let flags = Arc::<Flags>::default();
        let burn = Arc::<Burn>::default();
        let views = gravity_operators::analytics::VIEWS.iter().map(|view| &view.spec);
        let analytics = Arc::new(Analytics::new(views));
        let applier = match roles.contains(&Role::Burn) {
            true => Some(Applier::new(Ledger::new(open_billing(config, dir).await?))),
            false => None,
        };
        let prices_visibility = Visibility::of_second([Topic::Reference]);
        let sinks = Arc::new(Sinks {
            boards: boards.clone(),
            flags: flags.clone(),
            burn: burn.clone(),
            analytics: analytics.clone(),
            applier: applier.clone(),
            visibility: visibility.clone(),
            prices_visibility: prices_visibility.clone(),
        });
        let options = |name: &str, workers: usize| {
            let mut options = Options::new(dir.join("pipelines").join(name), workers);
            (options.sync, options.row_cap) = (sync, config.row_cap);
            options.merge_bytes = config.merge_bytes.unwrap_or(options.merge_bytes);
            options.operator_budget = config.operator_budget;
            options
        };
        let (definition, queries) = gravity_pipelines::boards::Boards::with_queries(sinks.clone())?;
        boards.answer_with(Arc::new(queries));
        boards.remember_with(log.clone());
        let (notes, notes_log) = (boards.clone(), log.clone());
        tokio::task::spawn_blocking(move || notes.load_changes(&*notes_log))
            .await?
            .context("cannot read the change log of boards")?;
        let definition = Arc::new(definition.in_slices_of(config.slice_teams));
        let boards_options = options(gravity_pipelines::boards::NAME, config.workers);
        let mut pipelines =
            vec![Runtime::start(definition, log.clone(), boards_options).context("cannot start the boards pipeline")?];
        let mut prices = None;
        if roles.contains(&Role::Burn) {
            let definition = Arc::new(gravity_pipelines::burn::Burn::new(sinks.clone()));
            prices = Some(definition.prices());
            let options = options(gravity_pipelines::burn::NAME, config.workers);
            let pipeline = Runtime::start(definition, log.clone(), options);
            pipelines.push(pipeline.context("cannot start the burn pipeline")?);
        }
        // The flags have a worker each: they are for people, who look later.
        if roles.contains(&Role::Labs) {
            let labs = Arc::new(gravity_pipelines::labs::Labs::new(sinks.clone()));
            let options = options(gravity_pipelines::labs::NAME, 1);
            pipelines.push(Runtime::start(labs, log.clone(), options).context("cannot start the labs pipeline")?);
        }
        if roles.contains(&Role::Similarity) {
            let similarity = Arc::new(gravity_pipelines::similarity::Similarity::new(sinks.clone()));
            let options = options(gravity_pipelines::similarity::NAME, 1);
            let pipeline = Runtime::start(similarity, log.clone(), options);
            pipelines.push(pipeline.context("cannot start the similarity pipeline")?);
        }
        if roles.contains(&Role::Analytics) {
            let definition = Arc::new(gravity_pipelines::analytics::Analytics::new(sinks));
            let options = options(gravity_pipelines::analytics::NAME, 1);
            let pipeline = Runtime::start(definition, log.clone(), options);
            pipelines.push(pipeline.context("cannot start the analytics pipeline")?);
        }
        let shown_burn = roles.contains(&Role::Burn).then(|| burn.clone());
        let (shown_boards, live_burn, live_flags) = (boards.clone(), burn.clone(), flags.clone());
        let operations = Arc::new(NodeOperations::new(log.clone(), boards.clone(), shown_burn, pipelines, roles));
        let mut state =
            AppState::new(log.clone(), boards, visibility, operations.clone(), &token, &key).with_flags(flags);
        if roles.contains(&Role::Burn) {
            state = state.with_burn(burn.clone(), prices_visibility);
        }
        if roles.contains(&Role::Analytics) {
            state = state.with_analytics(analytics.clone());
        }
        if let (Some(applier), Some(pricing)) = (applier, prices) {
            let (booking, log, clock, ends) =
                (applier.clone(), log.clone(), state.clock.clone(), state.shutdown.clone());
            tokio::spawn(async move { booking.run(log, clock, ends).await });
            state = state.with_budgets(Arc::new(Budgets { applier, pricing, burn }));
        }
        let live = crate::live::tables(&shown_boards, &live_burn, &analytics, &live_flags, &operations);
        let objects = open_objects(config, dir)?;
        let engine = SqlEngine::new(objects.clone(), live, dir.join("spill"), config.sql.clone())?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // One core at most for what comes in bulk, however much that is.
        let bulk_threads = Background::new("bulk", (cores / 2).max(1)).context("cannot start threads")?;
        let state = state.with_bulk(Bulk::on(bulk_threads.handle()));
        let sql_threads = Background::new("sql", cores).context("cannot start threads")?;
        let engine = Arc::new(engine.on(sql_threads.handle()));
        let state = state.with_sql(engine.clone());
        let lake_ends = CancellationToken::new();
        let lake_thread = Background::new("lake", 1).context("cannot start threads")?;
        let lake = roles.contains(&Role::Lake).then(|| {
            let options = LakeOptions {
                interval: config.lake_interval,
                compact_files: config.lake_compact_files,
                retention: config.lake_retention,
                vacuum_after: config.lake_vacuum_after,
                ..LakeOptions::default()
            };
            let (writer, ends) = (LakeWriter::new(log.clone(), objects, options), lake_ends.clone());
            lake_thread.spawn(async move { writer.run(ends).await })
        });
        let (shutdown, state_tokens) = (state.shutdown.clone(), state.tokens.clone());
        tokio::spawn(observe(operations.clone(), dir.to_owned(), shutdown.clone()));
        let listener = listen(&config.http_listen)
            .await
            .with_context(|| format!("cannot listen on {}: choose another with --listen", config.http_listen))?;
        let address = listener.local_addr()?;
        let options =
            ServerOptions { connections_of_peer_max: config.connections_per_client, ..ServerOptions::default() };
        let serving = spawn_server(listener, router(state), shutdown.clone(), options);
        let sql = open_wire(config, engine, &state_tokens, &shutdown).await?;
        let metrics = match &config.metrics_listen {
            Some(address) => {
                let listener = listen(address).await.with_context(|| format!("cannot serve metrics on {address}"))?;
                tracing::info!(address = %listener.local_addr()?, "metrics");
                Some(spawn_server(listener, metrics_router(), shutdown.clone(), ServerOptions::default()))
            }
            None => None,
        };
        tracing::info!(%address, "serving");
        Ok(Node {
            log,
            operations,
            http: Some((address, serving)),
            sql,
            metrics,
            lake,
            _background: [bulk_threads, sql_threads, lake_thread],
            lake_ends,
            traces,
            shutdown,
            _lock: lock,
        })
    }

    /// The log.
    pub fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    /// Where HTTP is served.
    pub fn address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(a, _)| *a)
    }

    /// Where clients of PostgreSQL are answered.
    pub fn sql_address(&self) -> Option<SocketAddr> {
        self.sql
    }

    /// Drains in the reverse order: HTTP ends, the pipelines commit what they began, the log closes.
    pub async fn stop(self) {
        self.operations.stopping();
        self.shutdown.cancel();
        for server in self.http.into_iter().map(|(_, s)| s).chain(self.metrics) {
            if tokio::time::timeout(DRAIN, server).await.is_err() {
                tracing::warn!("HTTP did not drain in time");
            }
        }
        let (operations, log) = (self.operations, self.log);
        let ended = tokio::task::spawn_blocking(move || operations.stop_pipelines());
        if tokio::time::timeout(DRAIN, ended).await.is_err() {
            tracing::warn!("the pipelines did not stop in time; the next start goes on from the last commit");
        }
        // What the pipelines judged last goes into the lake, too.
        self.lake_ends.cancel();
        if let Some(lake) = self.lake
            && tokio::time::timeout(LAKE_DRAIN, lake).await.is_err()
        {
            tracing::warn!("the lake's writer did not stop in time; the next start goes on from its last commit");
        }
        let traces = self.traces;
        let close = move || {
            log.close();
            drop(traces);
        };
        let _ = tokio::time::timeout(DRAIN, tokio::task::spawn_blocking(close)).await;
    }
}

fn spawn_server(
    listener: tokio::net::TcpListener,
    router: axum::Router,
    shutdown: CancellationToken,
    options: ServerOptions,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = gravity_api::serve_with(listener, router, shutdown, options).await {
            tracing::error!(%error, "the HTTP server ended");
        }
    })
}

/// Where clients of PostgreSQL look for this when nothing else is said.
const SQL_LISTEN: &str = "127.0.0.1:5433";

/// Answers clients of PostgreSQL. An address that was asked for has to be free; the usual one may be another's.
async fn open_wire(
    config: &Config,
    engine: Arc<SqlEngine>,
    tokens: &Tokens,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<SocketAddr>> {
    let tls = config.sql_tls.as_ref().map(|(certificate, key)| wire::tls(certificate, key)).transpose();
    let tls = tls.context("`sql.tls_certificate` and `sql.tls_key` cannot be used")?;
    let listener = match &config.sql_listen {
        Some(address) => listen(address).await.with_context(|| format!("cannot serve SQL on {address}"))?,
        None => match listen(SQL_LISTEN).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, "{SQL_LISTEN} is taken: clients of PostgreSQL are not served; set `sql.listen`");
                return Ok(None);
            }
        },
    };
    let address = listener.local_addr()?;
    let tokens = tokens.clone();
    let doorkeeper: wire::Doorkeeper = Arc::new(move |token| scope_of_token(&tokens, token));
    tokio::spawn(WireServer::new(engine, doorkeeper, tls).serve(listener, shutdown.clone()));
    tracing::info!(%address, "SQL for clients of PostgreSQL");
    Ok(Some(address))
}

/// Metrics alone, on a listener of their own: whoever can reach it may read them.
fn metrics_router() -> axum::Router {
    let text = || async {
        gravity_api::metrics::text().map_err(|e| (axum::http::StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
    };
    axum::Router::new().route("/metrics", axum::routing::get(text))
}

/// The database of budgets: a file in the data folder, unless it is said otherwise.
pub async fn open_billing(config: &Config, dir: &Path) -> anyhow::Result<Database> {
    const SERVICE: &str = "billing";
    let database = match &config.billing_database_url {
        Some(url) => Database::open(url, SERVICE, &database::BILLING).await,
        None => {
            let folder = std::path::absolute(dir.join("databases"))?;
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
            Database::file(&folder.join("billing.db"), SERVICE, &database::BILLING).await
        }
    };
    let database = database.context("the database of budgets cannot be used")?;
    if let Err(error) = database.ready().await {
        tracing::warn!(%error, "there are no budgets until their database answers; boards and burn go on without");
    }
    Ok(database)
}

/// Where the lake is: in the data folder, unless it is said otherwise.
pub fn open_objects(config: &Config, dir: &Path) -> anyhow::Result<Objects> {
    let objects = match &config.objects_url {
        Some(url) => Objects::open(url, &config.objects),
        None => Objects::folder(&dir.join("lake")),
    };
    objects.context("`objects.url` cannot be used")
}

fn open_log(config: &Config, dir: &Path, sync: SyncMode) -> anyhow::Result<Arc<dyn Log>> {
    match &config.log {
        LogKind::Embedded => {
            let mut options = EmbeddedOptions { sync, ..EmbeddedOptions::default() };
            for topic in Topic::ALL {
                if let Some(partitions) = config.log_partitions.filter(|_| topic != Topic::Reference) {
                    options.partitions.insert(topic, partitions);
                }
                if topic.is_input() && topic != Topic::Reference {
                    let age = config.log_retention_days.map(days);
                    let bytes = config.log_retention_bytes;
                    if age.is_some() || bytes.is_some() {
                        options.retention.insert(topic, Retention { age, bytes });
                    }
                }
            }
            Ok(Arc::new(EmbeddedLog::open(&dir.join("log"), options)?))
        }
        LogKind::Kafka { brokers } => {
            let mut options = KafkaOptions {
                prefix: config.log_prefix.clone(),
                replication: u16::try_from(config.log_replication).unwrap_or(1),
                ..KafkaOptions::new(brokers)
            };
            for topic in Topic::ALL {
                if let Some(partitions) = config.log_partitions.filter(|_| topic != Topic::Reference) {
                    options.partitions.insert(topic, partitions);
                }
                let age = config.log_retention_days.map(days);
                if let Some(age) = age.filter(|_| topic.is_input() && topic != Topic::Reference) {
                    options.retention.insert(topic, age);
                }
            }
            Ok(Arc::new(KafkaLog::open(options)?))
        }
    }
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days.saturating_mul(86_400))
}

/// One process per data folder, and none while an erasure in it is unfinished.
pub fn lock(dir: &Path) -> anyhow::Result<fs::File> {
    let file = lock_even_unfinished(dir)?;
    if dir.join(PLAN_FILE).exists() {
        bail!("an erasure in {} was interrupted: finish it with `gravity erase --resume`", dir.display());
    }
    Ok(file)
}

/// One process per data folder.
pub fn lock_even_unfinished(dir: &Path) -> anyhow::Result<fs::File> {
    let path = dir.join("lock");
    let file = fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        anyhow::anyhow!(
            "another process uses the data folder {}: stop it, or choose another with --data-dir",
            dir.display()
        )
    })?;
    Ok(file)
}

/// The secret in a file that only its owner can read; made at the first start.
fn secret_file(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(secret) if secret.trim().len() >= 32 => return Ok(secret.trim().to_owned()),
        Ok(_) => bail!("{} is too short for a secret: remove it, and a new one is made", path.display()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).context("no random numbers")?;
    let secret: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let write = || -> std::io::Result<()> {
        // A crash must not leave half a secret: it takes its name when it is whole.
        let unfinished = path.with_extension("unfinished");
        let _ = fs::remove_file(&unfinished);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(secret.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(secret)
}
