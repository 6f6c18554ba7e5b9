//! Sends batches, a few at a time, so that records of one order key never overtake each other.
//!
//! Each lane has one batch under way at most, and an order key always takes the same lane. Waiting for a batch to count
//! costs an epoch; three lanes share it.

use tokio::task::JoinSet;

use super::report::Report;
use crate::client::{Client, ClientError, Outcome};
use crate::feeds::Outgoing;

/// Sizes of batches.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// Lanes: batches under way at the same time.
    pub lanes: usize,
    /// Records per batch, at most.
    pub records: usize,
    /// Bytes per batch, at most; a larger record goes alone.
    pub bytes: usize,
}

impl Default for BatchOptions {
    fn default() -> BatchOptions {
        BatchOptions { lanes: 3, records: 500, bytes: 512 << 10 }
    }
}

#[derive(Default)]
struct Lane {
    records: Vec<Vec<u8>>,
    bytes: usize,
    under_way: bool,
}

type Sent = (usize, Vec<Vec<u8>>, Result<Vec<Outcome>, ClientError>);

/// Carries records to the server. For formats that are not read line by line, too: push, then [`Lanes::flush`].
pub struct Lanes {
    client: Client,
    options: BatchOptions,
    lanes: Vec<Lane>,
    sending: JoinSet<Sent>,
    /// The first batch goes alone: it sets the event up.
    opened: bool,
    /// What became of the records so far.
    pub report: Report,
}

impl Lanes {
    /// To the server of `client`.
    pub fn new(client: Client, options: BatchOptions) -> Lanes {
        let lanes = (0..options.lanes.max(1)).map(|_| Lane::default()).collect();
        Lanes { client, options, lanes, sending: JoinSet::new(), opened: false, report: Report::default() }
    }

    /// Takes a record; sends a batch when one is full. Returns at once unless the lane's last batch is still under way.
    pub async fn push(&mut self, record: Outgoing) -> Result<(), ClientError> {
        let lane = |this: &Lanes| {
            if this.opened { (record.order_key % this.lanes.len() as u64) as usize } else { 0 }
        };
        let mut n = lane(self);
        let full = |l: &Lane, o: &BatchOptions| {
            !l.records.is_empty() && (l.records.len() >= o.records || l.bytes + record.bytes.len() > o.bytes)
        };
        if full(&self.lanes[n], &self.options) {
            self.send(n).await?;
            if !self.opened {
                self.settle().await?;
                self.opened = true;
                n = lane(self);
            }
        }
        let lane = &mut self.lanes[n];
        lane.bytes += record.bytes.len() + 1;
        lane.records.push(record.bytes);
        Ok(())
    }

    /// Sends what is waiting and returns when the fate of every record is known.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        for n in 0..self.lanes.len() {
            if !self.lanes[n].records.is_empty() {
                self.send(n).await?;
            }
        }
        self.settle().await?;
        self.opened = self.opened || self.report.sent > 0;
        Ok(())
    }

    /// Whether every record that was pushed has been answered.
    pub fn is_idle(&self) -> bool {
        self.sending.is_empty() && self.lanes.iter().all(|l| l.records.is_empty())
    }

    async fn send(&mut self, n: usize) -> Result<(), ClientError> {
        while self.lanes[n].under_way {
            self.reap().await?;
        }
        let lane = &mut self.lanes[n];
        (lane.bytes, lane.under_way) = (0, true);
        let records = std::mem::take(&mut lane.records);
        let client = self.client.clone();
        self.sending.spawn(async move {
            let outcomes = client.send_records(&records, true).await;
            (n, records, outcomes)
        });
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), ClientError> {
        while !self.sending.is_empty() {
            self.reap().await?;
        }
        Ok(())
    }

    /// Takes one answer.
    async fn reap(&mut self) -> Result<(), ClientError> {
        let Some(done) = self.sending.join_next().await else {
            return Ok(());
        };
        let (n, records, outcomes) = done.map_err(|e| ClientError::Setup(format!("a sending task ended: {e}")))?;
        self.lanes[n].under_way = false;
        for (record, outcome) in records.iter().zip(outcomes?) {
            self.report.add_outcome(record, &outcome);
        }
        Ok(())
    }
}
