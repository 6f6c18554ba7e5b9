//! What goes wrong, and how often of each.

use super::site::Stands;
use super::wire::Cut;
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
    /// The power goes: what was written and not synced is gone, or (with true) any part of it.
    PowerLoss(bool),
    /// Another one fills the disk, and has gone after so many milliseconds.
    DiskFull(u64),
    /// Each sync lasts so many milliseconds longer, for so many milliseconds.
    SlowDisk(u64, u64),
    /// The network to the broker carries nothing, or no answers, for so many milliseconds; with true connections are reset then.
    BrokerCut(Cut, bool, u64),
    /// The same to the object store.
    StoreCut(Cut, bool, u64),
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
            Fault::PowerLoss(_) => "power loss",
            Fault::DiskFull(_) => "the disk is full",
            Fault::SlowDisk(..) => "the disk is slow",
            Fault::BrokerCut(..) => "network to Kafka cut",
            Fault::StoreCut(..) => "network to the object store cut",
            Fault::BitFlip => "a bit flips",
            Fault::Torn => "a file is half written",
        }
    }

    /// Any of those that can happen to what a site stands on.
    pub fn any(random: &mut Dice, on: Stands) -> Fault {
        let cut =
            |random: &mut Dice| (*random.pick(&[Cut::Both, Cut::Answers]), random.chance(50), 50 + random.below(2_500));
        loop {
            let fault = match random.below(17) {
                0..=1 => Fault::Kill,
                2..=3 => Fault::KillAt(
                    failpoint::ALL[random.below(failpoint::ALL.len() as u64) as usize],
                    1 + random.below(8),
                ),
                4 => Fault::Stop(100 + random.below(1_500)),
                5 if on.broker => Fault::BrokerKill(random.below(1_000)),
                6 if on.broker => {
                    let (cut, resets, ms) = cut(random);
                    Fault::BrokerCut(cut, resets, ms)
                }
                7 if on.store => Fault::StoreKill(random.below(2_000)),
                8 if on.store => Fault::StoreStop(200 + random.below(2_000)),
                9 if on.store => {
                    let (cut, resets, ms) = cut(random);
                    Fault::StoreCut(cut, resets, ms)
                }
                // S3 refuses requests that are signed more than a quarter of an hour off.
                // Not with Kafka, whose client waits by another clock than the one that is faked here.
                10 if on.broker => continue,
                10 if on.store => Fault::Clock(random.below(1_200) as i64 - 600),
                10 => Fault::Clock(random.below(7_200) as i64 - 3_600),
                11 => Fault::BitFlip,
                12 => Fault::Torn,
                13..=14 if on.modelled_disk => Fault::PowerLoss(random.chance(50)),
                15 if on.small_disk => Fault::DiskFull(50 + random.below(1_500)),
                16 => Fault::SlowDisk(5 + random.below(200), 200 + random.below(1_500)),
                _ => continue,
            };
            return fault;
        }
    }
}
