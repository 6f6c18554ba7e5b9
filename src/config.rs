//! Configuration: one TOML file plus `GRAVITY_SECTION__KEY`; nothing is needed for `gravity up`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gravity_api::admission::AdmissionOptions;
use gravity_api::traces::TraceOptions;
use gravity_pipelines::boards::SLICE_TEAMS;
use gravity_pipelines::runtime::ROW_CAP;
use gravity_pipelines::runtime::watchdog::BUDGET;
use gravity_storage::lake::writer::LakeOptions;
use gravity_storage::objects::S3Options;
use gravity_storage::sql::Limits;

/// Every key, and whether the part it configures is in this build. `*` stands for the name of a service.
const KEYS: &[(&str, bool)] = &[
    ("log.kind", true),
    ("log.brokers", true),
    ("log.prefix", true),
    ("log.partitions", true),
    ("log.replication", true),
    ("log.retention_days", true),
    ("log.retention_bytes", true),
    ("http.listen", true),
    ("metrics.listen", true),
    ("limits.connections_per_client", true),
    ("limits.tenant_records", true),
    ("limits.tenant_records_per_s", true),
    ("pipelines.workers", true),
    ("pipelines.row_cap", true),
    ("pipelines.merge_bytes", true),
    ("pipelines.slice_teams", true),
    ("pipelines.operator_budget_ms", true),
    ("sql.listen", true),
    ("sql.tls_certificate", true),
    ("sql.tls_key", true),
    ("database.url", true),
    ("database.billing.url", true),
    ("database.*.url", false),
    ("cache.url", false),
    ("objects.url", true),
    ("objects.endpoint", true),
    ("objects.region", true),
    ("objects.access_key_id", true),
    ("objects.secret_access_key", true),
    ("objects.timeout_s", true),
    ("lake.interval_ms", true),
    ("lake.compact_files", true),
    ("lake.retention_days", true),
    ("lake.vacuum_hours", true),
    ("sql.memory_mb", true),
    ("sql.spill_mb", true),
    ("sql.timeout_s", true),
    ("sql.rows", true),
    ("sql.concurrency", true),
    ("traces.endpoint", true),
    ("traces.per_million", true),
];

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {what}", path = .path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        what: String,
    },
    /// A key is none of ours.
    #[error("`{key}` ({origin}) is not a configuration key{}", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The key.
        key: String,
        /// Where it stands.
        origin: String,
        /// The most similar key.
        nearest: Option<&'static str>,
    },
    /// A value cannot be used.
    #[error("`{key}` is `{value}`, expected {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// Where the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// In the data folder.
    Embedded,
    /// On these brokers.
    Kafka {
        /// `host:port`, separated by commas.
        brokers: String,
    },
}

/// The configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the log is.
    pub log: LogKind,
    /// Put before every topic name.
    pub log_prefix: String,
    /// Partitions of each topic that is not reference data; None: the log's default.
    pub log_partitions: Option<u32>,
    /// Replicas of topics that are created on Kafka.
    pub log_replication: u32,
    /// Days that input records are kept on the embedded log; None: for ever.
    pub log_retention_days: Option<u64>,
    /// Bytes that an input topic may have on the embedded log; None: no bound.
    pub log_retention_bytes: Option<u64>,
    /// Where HTTP is served.
    pub http_listen: String,
    /// Where metrics are served, besides the main port.
    pub metrics_listen: Option<String>,
    /// Worker threads of each pipeline.
    pub workers: usize,
    /// Records at most in one epoch.
    pub row_cap: usize,
    /// Frames are merged into a new base once they have more bytes than this.
    pub merge_bytes: Option<u64>,
    /// Teams per epoch, about, when the rules of an event change.
    pub slice_teams: u32,
    /// Where clients of PostgreSQL are answered; None: on its port of this machine, if that is free.
    pub sql_listen: Option<String>,
    /// Certificate and key for them, as PEM files.
    pub sql_tls: Option<(PathBuf, PathBuf)>,
    /// The database of budgets; None: an SQLite file in the data folder.
    pub billing_database_url: Option<String>,
    /// CPU time that one call of an operator may take.
    pub operator_budget: Duration,
    /// Where objects are; None: in the data folder.
    pub objects_url: Option<String>,
    /// How to reach a bucket.
    pub objects: S3Options,
    /// Time between commits of the lake.
    pub lake_interval: Duration,
    /// Files after which the lake puts small ones together.
    pub lake_compact_files: usize,
    /// How long rows stay in the lake; None: for ever.
    pub lake_retention: Option<Duration>,
    /// After which time objects that no row is in are deleted.
    pub lake_vacuum_after: Duration,
    /// What SQL may use.
    pub sql: Limits,
    /// Connections of one address; 0: no bound.
    pub connections_per_client: usize,
    /// Who may bring records.
    pub admission: AdmissionOptions,
    /// Where traces go; None: nothing is traced.
    pub traces: Option<TraceOptions>,
    /// What is set but has no effect in this build.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads `file` (where given) and the environment.
    pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Config, ConfigError> {
        let mut values: BTreeMap<String, (String, String)> = BTreeMap::new();
        if let Some(path) = file {
            let read = |source| ConfigError::Read { path: path.to_owned(), source };
            let text = std::fs::read_to_string(path).map_err(read)?;
            let table: toml::Table = text
                .parse()
                .map_err(|e: toml::de::Error| ConfigError::Syntax { path: path.to_owned(), what: e.to_string() })?;
            flatten("", &toml::Value::Table(table), &mut |key, value| {
                values.insert(key, (value, path.display().to_string()));
            });
        }
        for (name, value) in env {
            let Some(rest) = name.strip_prefix("GRAVITY_").filter(|r| r.contains("__")) else { continue };
            let key = rest.to_lowercase().replace("__", ".");
            match key.strip_suffix("_file") {
                Some(key) if known(&key_of(key)).is_some() => {
                    let read = |source| ConfigError::Read { path: PathBuf::from(&value), source };
                    let secret = std::fs::read_to_string(&value).map_err(read)?;
                    values.insert(key.to_owned(), (secret.trim_end().to_owned(), name));
                }
                _ => {
                    values.insert(key, (value, name));
                }
            }
        }
        let mut warnings = Vec::new();
        for (key, (_, origin)) in &values {
            match known(&key_of(key)) {
                Some(true) => {}
                Some(false) => {
                    warnings.push(format!("`{key}` ({origin}) has no effect: its part is not in this build"))
                }
                None => {
                    const NAMES: &[&str] = &names();
                    let nearest = gravity_events::codec::nearest(key, NAMES.iter().copied());
                    return Err(ConfigError::Unknown { key: key.clone(), origin: origin.clone(), nearest });
                }
            }
        }
        let get = |key: &str| values.get(key).map(|(v, _)| v.as_str()).filter(|v| !v.is_empty());
        let number = |key: &'static str, least: u64| -> Result<Option<u64>, ConfigError> {
            let parse = |value: &str| {
                let n = value.parse().ok().filter(|n| *n >= least);
                n.ok_or(ConfigError::Invalid {
                    key,
                    value: value.to_owned(),
                    expected: if least == 0 { "a whole number" } else { "a whole number, at least 1" },
                })
            };
            get(key).map(parse).transpose()
        };
        let log = match get("log.kind") {
            None | Some("embedded") => LogKind::Embedded,
            Some("kafka") => LogKind::Kafka { brokers: get("log.brokers").unwrap_or("127.0.0.1:9092").to_owned() },
            Some(other) => {
                return Err(ConfigError::Invalid {
                    key: "log.kind",
                    value: other.to_owned(),
                    expected: "`embedded` or `kafka`",
                });
            }
        };
        let text = |key: &str| get(key).map(str::to_owned);
        let objects = S3Options {
            endpoint: text("objects.endpoint"),
            region: text("objects.region"),
            access_key_id: text("objects.access_key_id"),
            secret_access_key: text("objects.secret_access_key"),
            timeout: number("objects.timeout_s", 1)?.map(Duration::from_secs),
        };
        let sql_tls = match (get("sql.tls_certificate"), get("sql.tls_key")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            (given, _) => {
                let key = if given.is_some() { "sql.tls_key" } else { "sql.tls_certificate" };
                let expected = "a PEM file, since the other of certificate and key is given";
                return Err(ConfigError::Invalid { key, value: String::new(), expected });
            }
        };
        let mut sql = Limits::default();
        let sized = |n: Option<u64>, default: usize| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
        sql.memory_bytes = sized(number("sql.memory_mb", 1)?.map(|mb| mb.saturating_mul(1 << 20)), sql.memory_bytes);
        sql.spill_bytes = number("sql.spill_mb", 1)?.map_or(sql.spill_bytes, |mb| mb.saturating_mul(1 << 20));
        sql.time = number("sql.timeout_s", 1)?.map_or(sql.time, Duration::from_secs);
        sql.rows = sized(number("sql.rows", 1)?, sql.rows);
        sql.concurrency = sized(number("sql.concurrency", 1)?, sql.concurrency);
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let small = |n: Option<u64>| n.and_then(|n| u32::try_from(n).ok());
        Ok(Config {
            log,
            log_prefix: get("log.prefix").unwrap_or_default().to_owned(),
            log_partitions: small(number("log.partitions", 1)?),
            log_replication: small(number("log.replication", 1)?).unwrap_or(1),
            log_retention_days: number("log.retention_days", 1)?,
            log_retention_bytes: number("log.retention_bytes", 1)?,
            http_listen: get("http.listen").unwrap_or("127.0.0.1:8080").to_owned(),
            metrics_listen: get("metrics.listen").map(str::to_owned),
            workers: number("pipelines.workers", 1)?.and_then(|n| usize::try_from(n).ok()).unwrap_or(cores.min(4)),
            row_cap: number("pipelines.row_cap", 1)?.and_then(|n| usize::try_from(n).ok()).unwrap_or(ROW_CAP),
            merge_bytes: number("pipelines.merge_bytes", 1)?,
            operator_budget: number("pipelines.operator_budget_ms", 1)?.map_or(BUDGET, Duration::from_millis),
            slice_teams: small(number("pipelines.slice_teams", 1)?).unwrap_or(SLICE_TEAMS),
            sql_listen: text("sql.listen"),
            sql_tls,
            billing_database_url: text("database.billing.url").or_else(|| text("database.url")),
            objects_url: text("objects.url"),
            objects,
            lake_interval: number("lake.interval_ms", 1)?
                .map_or(LakeOptions::default().interval, Duration::from_millis),
            lake_compact_files: sized(number("lake.compact_files", 1)?, LakeOptions::default().compact_files),
            lake_retention: number("lake.retention_days", 1)?.map(|days| hours(days.saturating_mul(24))),
            lake_vacuum_after: number("lake.vacuum_hours", 1)?.map_or(LakeOptions::default().vacuum_after, hours),
            sql,
            connections_per_client: sized(number("limits.connections_per_client", 0)?, 10_000),
            admission: AdmissionOptions {
                tenant_records_max: number("limits.tenant_records", 1)?
                    .unwrap_or(AdmissionOptions::default().tenant_records_max),
                tenant_records_per_s: number("limits.tenant_records_per_s", 1)?
                    .unwrap_or(AdmissionOptions::default().tenant_records_per_s),
            },
            traces: match text("traces.endpoint") {
                Some(endpoint) => {
                    let per_million = small(number("traces.per_million", 1)?).unwrap_or(10_000).min(1_000_000);
                    Some(TraceOptions { endpoint, per_million })
                }
                None => None,
            },
            warnings,
        })
    }
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours.saturating_mul(3_600))
}

const fn names() -> [&'static str; KEYS.len()] {
    let mut names = [""; KEYS.len()];
    let mut i = 0;
    while i < KEYS.len() {
        names[i] = KEYS[i].0;
        i += 1;
    }
    names
}

fn known(key: &str) -> Option<bool> {
    KEYS.iter().find(|(k, _)| *k == key).map(|(_, in_build)| *in_build)
}

/// `database.<service>.url` is one key for all services that are not in this build.
fn key_of(key: &str) -> String {
    match key.split('.').collect::<Vec<_>>()[..] {
        ["database", "billing", "url"] => key.to_owned(),
        ["database", _, "url"] => "database.*.url".to_owned(),
        _ => key.to_owned(),
    }
}

fn flatten(prefix: &str, value: &toml::Value, put: &mut impl FnMut(String, String)) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, put);
            }
        }
        toml::Value::String(text) => put(prefix.to_owned(), text.clone()),
        other => put(prefix.to_owned(), other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: Option<&str>, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gravity.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(file.map(|_| path.as_path()), env)
    }

    #[test]
    fn nothing_is_needed_and_the_environment_wins() {
        let c = load(None, &[("GRAVITY_SERVER", "x"), ("PATH", "y")]).unwrap();
        assert_eq!((c.log, c.http_listen.as_str()), (LogKind::Embedded, "127.0.0.1:8080"));
        let c =
            load(Some("[log]\nkind = 'kafka'\nbrokers = 'a:1'\npartitions = 3"), &[("GRAVITY_LOG__BROKERS", "b:2")])
                .unwrap();
        assert_eq!(c.log, LogKind::Kafka { brokers: "b:2".into() });
        assert_eq!(c.log_partitions, Some(3));
    }

    #[test]
    fn unknown_keys_name_the_nearest_and_missing_parts_warn() {
        let e = load(Some("[log]\nkin = 'kafka'"), &[]).unwrap_err().to_string();
        assert!(e.contains("`log.kin`") && e.contains("did you mean `log.kind`"), "{e}");
        let e = load(None, &[("GRAVITY_LOGG__KIND", "x")]).unwrap_err().to_string();
        assert!(e.contains("GRAVITY_LOGG__KIND"), "{e}");
        let c = load(None, &[("GRAVITY_CACHE__URL", "x"), ("GRAVITY_DATABASE__AUTH__URL", "x")]).unwrap();
        assert_eq!(c.warnings.len(), 2);
        let c = load(None, &[("GRAVITY_DATABASE__URL", "a"), ("GRAVITY_DATABASE__BILLING__URL", "b")]).unwrap();
        assert_eq!((c.warnings.len(), c.billing_database_url.as_deref()), (0, Some("b")));
        let e = load(None, &[("GRAVITY_PIPELINES__WORKERS", "0")]).unwrap_err().to_string();
        assert!(e.contains("pipelines.workers") && e.contains("`0`"), "{e}");
        assert!(load(Some("log = ["), &[]).is_err());
    }

    #[test]
    fn secrets_may_come_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("brokers");
        std::fs::write(&path, "c:3\n").unwrap();
        let c = load(None, &[("GRAVITY_LOG__KIND", "kafka"), ("GRAVITY_LOG__BROKERS_FILE", path.to_str().unwrap())])
            .unwrap();
        assert_eq!(c.log, LogKind::Kafka { brokers: "c:3".into() });
    }
}
