//! `gravity`: the command line, and the process that it starts.

mod commands;
mod config;
mod demo;
mod live;
mod log_json;
mod node;
mod observe;
mod operations;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use commands::ServerArgs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long a server that has stopped waits for its threads to end.
const LAST_THREADS: Duration = Duration::from_secs(10);

/// The live platform behind hackathons, hands-on labs and contests
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Subcommand)]
enum Command {
    Up(commands::up::UpArgs),
    Demo(commands::up::DemoArgs),
    Run(commands::up::RunArgs),
    Apply(commands::apply::ApplyArgs),
    Event(commands::event::EventArgs),
    Import(commands::import::ImportArgs),
    Board(commands::board::BoardArgs),
    Changes(commands::changes::ChangesArgs),
    Series(commands::series::SeriesArgs),
    Score(commands::score::ScoreArgs),
    Rescore(commands::rescore::RescoreArgs),
    Rehearse(commands::rescore::RehearseArgs),
    Rejudge(commands::rejudge::RejudgeArgs),
    Resolve(commands::resolve::ResolveArgs),
    Burn(commands::burn::BurnArgs),
    Budgets(commands::budgets::BudgetsArgs),
    Meters(commands::meters::MetersArgs),
    Analytics(commands::analytics::AnalyticsArgs),
    Sql(commands::sql::SqlArgs),
    Labs(commands::labs::LabsArgs),
    Similarity(commands::similarity::SimilarityArgs),
    Token(commands::token::TokenArgs),
    Operator(commands::operator::OperatorArgs),
    Verify(commands::verify::VerifyArgs),
    Status(commands::status::StatusArgs),
    Deadletter(commands::deadletter::DeadLetterArgs),
    Backup(commands::backup::BackupArgs),
    Restore(commands::backup::RestoreArgs),
    Erase(commands::erase::EraseArgs),
}

fn main() -> ExitCode {
    end_with_the_reader();
    gravity_pipelines::runtime::memory::avoid_huge_pages();
    let cli = Cli::parse();
    let server = matches!(cli.command, Command::Up(_) | Command::Demo(_) | Command::Run(_));
    log_to_stderr(server);
    gravity_ingest::client::install_tls_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("gravity: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli));
    if server {
        // Threads that end while the process does tear down OpenSSL's state from two sides, and may crash it.
        runtime.shutdown_timeout(LAST_THREADS);
    } else {
        // A client command may leave a reader of standard input behind, which never ends by itself.
        runtime.shutdown_background();
    }
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gravity: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `print!` panics when standard output is closed (`gravity status | head -1`): that ends the command, without a trace.
fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // An operator's panic is told with its input, once per row that it concerns.
        if gravity_operators::guard::is_guarded() {
            return;
        }
        let text = panic.payload_as_str().unwrap_or_default();
        if let Some(why) = text.strip_prefix("failed printing to stdout: ") {
            if !why.contains("Broken pipe") {
                eprintln!("gravity: standard output: {why}");
            }
            std::process::exit(1);
        }
        usual(panic);
    }));
}

async fn run(cli: Cli) -> anyhow::Result<bool> {
    let server = &cli.server;
    match cli.command {
        Command::Up(args) => commands::up::up(args, &server.data_dir).await?,
        Command::Demo(args) => commands::up::demo(args, &server.data_dir).await?,
        Command::Run(args) => commands::up::run(args, &server.data_dir).await?,
        Command::Apply(args) => commands::apply::run(args, server).await?,
        Command::Event(args) => commands::event::run(args, server).await?,
        Command::Import(args) => return commands::import::run(args, server).await,
        Command::Board(args) => commands::board::run(args, server).await?,
        Command::Changes(args) => commands::changes::run(args, server).await?,
        Command::Series(args) => commands::series::run(args, server).await?,
        Command::Score(args) => commands::score::run(args, server).await?,
        Command::Rescore(args) => commands::rescore::rescore(args, server).await?,
        Command::Rehearse(args) => commands::rescore::rehearse(args, server).await?,
        Command::Rejudge(args) => commands::rejudge::run(args, server).await?,
        Command::Resolve(args) => commands::resolve::run(args, server).await?,
        Command::Burn(args) => commands::burn::run(args, server).await?,
        Command::Budgets(args) => commands::budgets::run(args, server).await?,
        Command::Meters(args) => commands::meters::run(args, server).await?,
        Command::Analytics(args) => commands::analytics::run(args, server).await?,
        Command::Sql(args) => commands::sql::run(args, server).await?,
        Command::Labs(args) => commands::labs::run(args, server).await?,
        Command::Similarity(args) => commands::similarity::run(args, server).await?,
        Command::Token(args) => commands::token::run(args, server).await?,
        Command::Operator(args) => commands::operator::run(args, server).await?,
        Command::Verify(args) => return commands::verify::run(args, server).await,
        Command::Status(args) => commands::status::run(args, server).await?,
        Command::Backup(args) => commands::backup::backup(args, &server.data_dir).await?,
        Command::Restore(args) => commands::backup::restore(args, &server.data_dir).await?,
        Command::Erase(args) => commands::erase::run(args, &server.data_dir).await?,
        Command::Deadletter(args) => commands::deadletter::run(args, server).await?,
    }
    Ok(true)
}

/// On stderr. `GRAVITY_LOG` says how much, as `tracing_subscriber` reads it; `GRAVITY_LOG_FORMAT=json` makes a line of JSON of
/// each, for machines.
fn log_to_stderr(server: bool) {
    // The lake's library tells every step of every query at `info`.
    let default =
        if server { "info,buoyant_kernel=warn,buoyant_kernel_engine=warn,deltalake_core=warn" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("GRAVITY_LOG").unwrap_or_else(|_| default.into());
    // A line that cannot be written, as on a full disk, is lost; to say so on the same stderr would panic.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    if std::env::var("GRAVITY_LOG_FORMAT").is_ok_and(|format| format == "json") {
        return log.fmt_fields(log_json::Json).event_format(log_json::Json).init();
    }
    use std::io::IsTerminal;
    log.with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()).init();
}
