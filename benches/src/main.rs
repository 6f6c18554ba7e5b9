//! Measures the platform against loads, peers and floors, and writes docs/benchmarks.md.
//!
//! `scripts/bench [CASE..] [--quick]`. What is measured runs in a process of its own (see [`part`]), so that one load's
//! memory does not show in the next one's figures.

mod attack;
mod cases;
mod contest;
mod crowd;
mod generator;
mod http;
mod log;
mod machine;
mod part;
mod peers;
mod report;
mod server;
mod sse;
mod standings;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures; prints progress on standard error and the table on standard output
#[derive(Parser)]
struct Cli {
    /// Which cases: throughput, burst, fanout, freshness, hostile, idle, restart, rescore, dynamic, sql, lake, burn, memory (none named: all)
    cases: Vec<String>,
    /// Loads of a tenth
    #[arg(long)]
    quick: bool,
    /// Twice the load where a case has a larger one
    #[arg(long)]
    full: bool,
    /// Records of `throughput` and `restart`
    #[arg(long)]
    records: Option<u64>,
    /// The server's binary [default: beside this one]
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Where data goes while it is needed [default: the system's temporary folder]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The page to update
    #[arg(long, default_value = "docs/benchmarks.md")]
    out: PathBuf,
}

/// What every case is told.
pub struct Run {
    /// A folder for its data.
    pub dir: PathBuf,
    /// The server's binary.
    pub bin: PathBuf,
    /// A tenth of the load.
    pub quick: bool,
    /// Twice the load.
    pub full: bool,
    /// Records, where given.
    pub records: Option<u64>,
}

impl Run {
    /// `n`, or a tenth of it in a quick run.
    pub fn scaled(&self, n: u64) -> u64 {
        if self.quick { n / 10 } else { n }
    }
}

/// Says how far it is.
pub fn say(what: impl AsRef<str>) {
    eprintln!("bench: {}", what.as_ref());
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GRAVITY_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let done = if args.next().as_deref() == Some(part::ARGUMENT) { part::serve(args) } else { run(Cli::parse()) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let bin = match cli.bin {
        Some(bin) => bin,
        None => std::env::current_exe()?.with_file_name("gravity"),
    };
    let wanted = if cli.cases.is_empty() { cases::ALL.iter().map(|c| c.0.to_owned()).collect() } else { cli.cases };
    for name in &wanted {
        anyhow::ensure!(
            cases::ALL.iter().any(|c| c.0 == name),
            "there is no case `{name}`; there are {}",
            cases::ALL.iter().map(|c| c.0).collect::<Vec<_>>().join(", ")
        );
    }
    for (name, case) in cases::ALL.iter().filter(|c| wanted.iter().any(|w| w == c.0)) {
        let dir = match &cli.dir {
            Some(dir) => tempfile::tempdir_in(dir)?,
            None => tempfile::tempdir()?,
        };
        let run =
            Run { dir: dir.path().into(), bin: bin.clone(), quick: cli.quick, full: cli.full, records: cli.records };
        say(format!("{name}: begins"));
        let rows = case(&run)?;
        for row in &rows {
            println!("{row}");
        }
        report::update(&cli.out, name, &rows)?;
    }
    Ok(())
}
