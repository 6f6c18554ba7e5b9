//! How long and from which seed a test runs, as the environment says.

/// A number from the environment, where it is set.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

/// The seed of this run, printed so that a failure can be had again: `GRAVITY_SEED`, else another one each time.
pub fn seed() -> u64 {
    let seed = number("GRAVITY_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("GRAVITY_SEED={seed}");
    seed
}
