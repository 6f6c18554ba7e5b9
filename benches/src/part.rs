//! Parts of a case that run in a process of their own: this binary again, told what to do in JSON, answering in JSON.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{cases, generator};

/// The first argument of such a process.
pub const ARGUMENT: &str = "part";

/// A part that runs.
pub struct Running(std::process::Child, String);

/// Starts a part.
pub fn start(name: &str, task: &impl Serialize) -> anyhow::Result<Running> {
    let child = Command::new(std::env::current_exe()?)
        .args([ARGUMENT, name, &serde_json::to_string(task)?])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start the part {name}"))?;
    Ok(Running(child, name.to_owned()))
}

impl Running {
    /// Waits for its answer.
    pub fn answer<T: DeserializeOwned>(self) -> anyhow::Result<T> {
        let out = self.0.wait_with_output()?;
        if !out.status.success() {
            bail!("the part {} failed: {}", self.1, out.status);
        }
        serde_json::from_slice(&out.stdout).with_context(|| format!("the part {} answers something else", self.1))
    }
}

/// Runs a part to its end.
pub fn call<T: DeserializeOwned>(name: &str, task: &impl Serialize) -> anyhow::Result<T> {
    start(name, task)?.answer()
}

/// Is such a process.
pub fn serve(mut args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let (name, task) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let answer = match name.as_str() {
        "chain" => serde_json::to_value(cases::throughput::chain(serde_json::from_str(&task)?)?)?,
        "plain" => serde_json::to_value(crate::peers::plain(serde_json::from_str(&task)?)?)?,
        "keyed" => serde_json::to_value(crate::peers::keyed(serde_json::from_str(&task)?)?)?,
        "decode" => serde_json::to_value(crate::peers::decode(serde_json::from_str(&task)?)?)?,
        "generate" => serde_json::to_value(generator::run(serde_json::from_str(&task)?)?)?,
        "attack" => serde_json::to_value(crate::attack::run(serde_json::from_str(&task)?)?)?,
        "crowd" => serde_json::to_value(crate::crowd::run(serde_json::from_str(&task)?)?)?,
        "fill_lake" => serde_json::to_value(cases::sql::fill(serde_json::from_str(&task)?)?)?,
        "ask" => serde_json::to_value(cases::sql::ask(serde_json::from_str(&task)?)?)?,
        "fill_usage" => serde_json::to_value(cases::burn::fill(serde_json::from_str(&task)?)?)?,
        "burn_chain" => serde_json::to_value(cases::burn::chain(serde_json::from_str(&task)?)?)?,
        "burn_loop" => serde_json::to_value(cases::burn::plain(serde_json::from_str(&task)?)?)?,
        "burn_grow" => serde_json::to_value(cases::memory::grow(serde_json::from_str(&task)?)?)?,
        "fill" => serde_json::to_value(crate::log::fill(&serde_json::from_str(&task)?)?)?,
        other => bail!("there is no part `{other}`"),
    };
    println!("{answer}");
    Ok(())
}
