//! Where figures were taken.

use std::process::Command;

/// Cores, memory, load and commit, in a line.
pub fn line() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        model.lines().find_map(|l| l.strip_prefix("model name")).map(|l| l.trim_start_matches([' ', '\t', ':']));
    format!(
        "{}, commit {}, {cores} cores ({}), {:.0} GB, load {load} at the end",
        command("date", &["+%Y-%m-%d"]),
        commit(),
        model.unwrap_or("unknown"),
        memory_gb()
    )
}

fn commit() -> String {
    let changed = !command("git", &["status", "--porcelain", "--", ".", ":!docs"]).is_empty();
    format!("{}{}", command("git", &["rev-parse", "--short", "HEAD"]), if changed { " with changes" } else { "" })
}

fn memory_gb() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e9
}

fn command(name: &str, args: &[&str]) -> String {
    let out = Command::new(name).args(args).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}
