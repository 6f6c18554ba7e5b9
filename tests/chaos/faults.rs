//! What goes wrong, and how often of each.

use gravity_operators::harness::dice::Dice;
use gravity_pipelines::runtime::failpoint;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of the server at any instant.
    Kill,
    /// The same at a failpoint of the pipelines' commit: its name and which passage.
    KillAt(&'static str, u64),
    /// The server stands still for so many milliseconds, as a machine that is moved does.
    Stop(u64),
    /// The broker is killed, and back after so many milliseconds.
    BrokerKill(u64),
    /// The object store is killed, and back after so many milliseconds.
    StoreKill(u64),
    /// Object store stands still for so many milliseconds.
    StoreStop(u64),
    /// The server's clock is so many seconds off from now on.
    Clock(i64),
    /// A bit of one of its files is not what was written; found at the next start, or by who reads it.
    BitFlip,
    /// The end of one of its files is missing after a kill, or there is more of it than was written.
    Torn,
}

impl Fault {
    /// Its kind, for the table.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill => "kill -9",
            Fault::KillAt(..) => "kill -9 at a step of a commit",
            Fault::Stop(_) => "the server stands still",
            Fault::BrokerKill(_) => "Kafka killed and restarted",
            Fault::StoreKill(_) => "object store killed and restarted",
            Fault::StoreStop(_) => "object store stands still",
            Fault::Clock(_) => "the clock jumps",
            Fault::BitFlip => "a bit flips",
            Fault::Torn => "a file is half written",
        }
    }

    /// Any of those that a site of this kind can have.
    pub fn any(random: &mut Dice, has_broker: bool, has_store: bool) -> Fault {
        loop {
            let fault = match random.below(12) {
                0..=1 => Fault::Kill,
                2..=3 => Fault::KillAt(
                    failpoint::ALL[random.below(failpoint::ALL.len() as u64) as usize],
                    1 + random.below(8),
                ),
                4 => Fault::Stop(100 + random.below(1_500)),
                5..=6 if has_broker => Fault::BrokerKill(random.below(1_000)),
                7 if has_store => Fault::StoreKill(random.below(2_000)),
                8 if has_store => Fault::StoreStop(200 + random.below(2_000)),
                // S3 refuses requests that are signed more than a quarter of an hour off.
                // Not with Kafka, whose client waits by another clock than the one that is faked here.
                9 if has_broker => continue,
                9 if has_store => Fault::Clock(random.below(1_200) as i64 - 600),
                9 => Fault::Clock(random.below(7_200) as i64 - 3_600),
                10 => Fault::BitFlip,
                11 => Fault::Torn,
                _ => continue,
            };
            return fault;
        }
    }
}
