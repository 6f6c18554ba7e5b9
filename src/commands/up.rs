//! `gravity up`, `gravity run` and `gravity demo`: a server.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::node::Node;

/// The file in the data folder that holds the admin token.
pub const TOKEN_FILE: &str = "admin.token";

/// Starts everything in one process, on embedded parts or on external ones where configured
#[derive(Args, Clone, Debug)]
pub struct UpArgs {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long)]
    listen: Option<String>,
    /// Keep nothing: everything is gone when it ends
    #[arg(long)]
    in_memory: bool,
    /// Configuration (TOML)
    #[arg(long, env = "GRAVITY_CONFIG")]
    config: Option<PathBuf>,
}

/// Starts chosen roles on external parts
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Roles, separated by commas
    #[arg(long, env = "GRAVITY_ROLES", value_delimiter = ',', required = true)]
    role: Vec<crate::node::Role>,
    #[command(flatten)]
    up: UpArgs,
}

/// `up`, plus a simulated hackathon: same seed, same records and final board
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How many teams take part
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    teams: u64,
    /// Records a second
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// What happens follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    up: UpArgs,
}

/// Runs `up`.
pub async fn up(args: UpArgs, data_dir: &Path) -> anyhow::Result<()> {
    serve(args, crate::node::Role::ALL.to_vec(), data_dir, None).await
}

/// Runs `run`.
pub async fn run(args: RunArgs, data_dir: &Path) -> anyhow::Result<()> {
    serve(args.up, args.role, data_dir, None).await
}

/// Runs `demo`.
pub async fn demo(args: DemoArgs, data_dir: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.rate.is_finite() && args.rate > 0.0,
        "--rate {} cannot be played; say how many records a second, such as 20",
        args.rate
    );
    let up = args.up.clone();
    serve(up, crate::node::Role::ALL.to_vec(), data_dir, Some(args)).await
}

async fn serve(
    args: UpArgs,
    roles: Vec<crate::node::Role>,
    data_dir: &Path,
    demo: Option<DemoArgs>,
) -> anyhow::Result<()> {
    let mut config = Config::load(args.config.as_deref(), std::env::vars())?;
    if let Some(listen) = args.listen {
        config.http_listen = listen;
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    // Listens for the signals before anything is started, so that none is missed.
    let stop = CancellationToken::new();
    on_signal(stop.clone())?;
    let temporary =
        if args.in_memory { Some(tempfile::tempdir().context("cannot create a temporary folder")?) } else { None };
    let dir = temporary.as_ref().map_or(data_dir, |t| t.path());
    let node = tokio::select! {
        node = Node::start(&config, &roles, dir, args.in_memory) => node?,
        () = stop.cancelled() => {
            tracing::info!("stopped before it had started");
            return Ok(());
        }
    };
    // Nobody may be there to read it, or its disk is full: the server works all the same.
    if let Err(error) = hello(&node, demo.is_some(), dir, args.in_memory) {
        tracing::warn!(%error, "standard output cannot be written");
    }
    let playing = demo.map(|d| tokio::spawn(crate::demo::play(node.log(), d.teams, d.rate, d.seed, stop.clone())));
    stop.cancelled().await;
    tracing::info!("stopping: draining what was begun");
    if let Some(playing) = playing {
        let _ = playing.await;
    }
    node.stop().await;
    Ok(())
}

fn on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

fn hello(node: &Node, demo: bool, dir: &Path, in_memory: bool) -> std::io::Result<()> {
    let Some(address) = node.address() else { return Ok(()) };
    let url = format!("http://{address}");
    let mut out = std::io::stdout().lock();
    writeln!(out, "Gravity is up at {url}")?;
    if demo {
        writeln!(out, "  board    {url}/events/{}", crate::demo::EVENT)?;
    } else {
        writeln!(out, "  events   {url}/")?;
    }
    if let Some(sql) = node.sql_address() {
        writeln!(out, "  sql      psql -h {} -p {} -U gravity (password: a token)", sql.ip(), sql.port())?;
    }
    writeln!(out, "  data     {}{}", dir.display(), if in_memory { " (gone when this ends)" } else { "" })?;
    let server = if address.port() == 8080 { String::new() } else { format!(" --server {url}") };
    let place = format!(" --data-dir {}{server}", dir.display());
    let event = if demo { crate::demo::EVENT } else { "EVENT" };
    // As it was called, so that the lines can be pasted where the binary is not on the path.
    let gravity = std::env::args().next().unwrap_or_else(|| "gravity".to_owned());
    writeln!(out, "Try:")?;
    writeln!(out, "  {gravity} board {event}{place}")?;
    if demo {
        writeln!(out, "  {gravity} burn {event} --group model{place}")?;
        writeln!(out, "  {gravity} analytics {event}{place}")?;
    }
    writeln!(out, "  {gravity} status{place}")?;
    writeln!(out, "  {gravity} verify{place}")?;
    out.flush()?;
    Ok(())
}
