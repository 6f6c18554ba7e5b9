//! `gravity import`: carries a recording or a live feed to the server.

use std::io::{IsTerminal, Write};
use std::path::Path;

use clap::{Args, ValueEnum};
use gravity_ingest::feeds::azure_llm::AzureLlmImporter;
use gravity_ingest::feeds::clics::ClicsImporter;
use gravity_ingest::feeds::cloudevents::CloudEventsImporter;
use gravity_ingest::feeds::import::{ImportOptions, Report, import};
use gravity_ingest::feeds::source::Source;
use gravity_ingest::feeds::{Importer, nizkctf, source_name};

use super::ServerArgs;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// An Azure LLM inference trace: CSV with TIMESTAMP, ContextTokens, GeneratedTokens
    AzureLlm,
    /// An event feed of the CLICS Contest API (any dialect), or the URL of a live contest
    Clics,
    /// One CloudEvent a line
    Cloudevents,
    /// A folder with the audit trail of a NIZKCTF contest: log.json and teams.json
    Nizkctf,
}

/// Imports a recording or follows a live feed; returns when all is visible
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// What is read
    format: Format,
    /// A file, `-` for standard input, (clics) the URL of a live contest, or (nizkctf) a folder
    path: String,
    /// The event that it becomes; `-` leaves each record its own (cloudevents), or is none (azure-llm)
    #[arg(long)]
    event: String,
    /// Whose event
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Play it at so many times its own pace
    #[arg(long)]
    speed: Option<f64>,
    /// Exit 1 when a record was refused
    #[arg(long)]
    strict: bool,
}

/// Runs it; says whether all is well.
pub async fn run(args: ImportArgs, server: &ServerArgs) -> anyhow::Result<bool> {
    let client = server.client()?;
    let source = match args.format {
        Format::Nizkctf => {
            anyhow::ensure!(args.event != "-", "an audit trail does not name its event: say --event NAME");
            nizkctf::read(Path::new(&args.path), &args.tenant, &args.event)?
        }
        Format::Clics | Format::Cloudevents | Format::AzureLlm => Source::parse(&args.path)?,
    };
    let mut importer: Box<dyn Importer> = match args.format {
        Format::Clics => {
            anyhow::ensure!(args.event != "-", "a CLICS feed does not name its event for us: say --event NAME");
            Box::new(ClicsImporter::new(args.tenant.as_str(), args.event.as_str(), source_name("clics", &args.event)))
        }
        Format::AzureLlm => {
            let event = (args.event != "-").then(|| args.event.as_str().into());
            Box::new(AzureLlmImporter::new(args.tenant.as_str().into(), event))
        }
        Format::Nizkctf => Box::new(CloudEventsImporter::new(None, None)),
        Format::Cloudevents if args.event == "-" => Box::new(CloudEventsImporter::new(None, None)),
        Format::Cloudevents => Box::new(CloudEventsImporter::new(None, Some(args.event.as_str().into()))),
    };
    let options = ImportOptions {
        speed: args.speed,
        state_dir: Some(server.data_dir.join("imports")),
        ..ImportOptions::default()
    };
    let terminal = std::io::stderr().is_terminal();
    let mut progress = move |r: &Report| {
        if terminal {
            eprint!("\r{} lines, {} records sent ", r.lines, r.sent);
            let _ = std::io::stderr().flush();
        }
    };
    let result = import(&client, &source, &mut *importer, &options, &mut progress).await;
    if terminal {
        eprintln!();
    }
    match result {
        Ok(report) => {
            tell(&report);
            Ok(!args.strict || (report.refused_total() == 0 && report.bad_total() == 0))
        }
        Err(error) => {
            tell(&error.report);
            Err(error.into())
        }
    }
}

fn tell(r: &Report) {
    eprintln!(
        "{} lines: {} records sent, {} counted, {} duplicates, {} refused",
        r.lines,
        r.sent,
        r.counted + r.accepted,
        r.duplicates,
        r.refused_total()
    );
    for (code, cases) in r.refused.iter().chain(&r.bad_lines) {
        eprintln!("  {code}: {}, e.g. {}", cases.count, cases.examples.first().map_or("", String::as_str));
    }
    if !r.skipped.is_empty() {
        let kinds: Vec<_> = r.skipped.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        eprintln!("  left out: {}", kinds.join(", "));
    }
}
