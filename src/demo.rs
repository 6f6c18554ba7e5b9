//! The demo: a simulated hackathon that is played into the log.

pub mod names;
pub mod simulation;

use std::sync::Arc;
use std::time::Duration;

use gravity_ingest::log::{Log, LogError, Produce};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use simulation::{EVENT, simulate};

const BATCH: usize = 500;

/// Plays a simulation: reference data at once, then so many records a second, then the thaw. Playing it again changes
/// nothing, since its records have the same identities.
pub async fn play(
    log: Arc<dyn Log>,
    teams: u64,
    rate: f64,
    seed: u64,
    stop: CancellationToken,
) -> Result<(), LogError> {
    let simulation = simulate(teams, seed);
    for batch in simulation.before.chunks(BATCH) {
        log.append(batch.iter().map(Produce::from).collect()).await?;
    }
    let began = Instant::now();
    let mut sent = 0usize;
    while sent < simulation.timeline.len() {
        let due = (began.elapsed().as_secs_f64() * rate) as usize + 1;
        let upto = due.clamp(sent, simulation.timeline.len()).min(sent + BATCH);
        if upto > sent {
            log.append(simulation.timeline[sent..upto].iter().map(|(_, r)| Produce::from(r)).collect()).await?;
            sent = upto;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(20)), if upto < due.max(sent + 1) => {}
        }
    }
    log.append(simulation.after.iter().map(Produce::from).collect()).await?;
    Ok(())
}
