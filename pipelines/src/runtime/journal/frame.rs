//! One epoch as it stands in the journal.

use bytes::Bytes;
use gravity_events::{Id, Topic};
use gravity_ingest::log::Bound;
use serde::{Deserialize, Serialize};

use super::super::PipelineError;
use super::super::folds::Block;
use super::super::worker::RefusedRow;
use super::{FORMAT, FORMAT_WITH_GATES};

/// Why an epoch exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Records came.
    Records,
    /// A new build computes other views from the same facts.
    BuildChanged,
}

/// All that an epoch changed. With the base and the frames before it, this is the whole state of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The epoch.
    pub epoch: u64,
    /// Its clock.
    pub now_ms: i64,
    /// What expiry goes by: the clock of the last epoch whose clock was not in doubt.
    pub trusted_ms: i64,
    /// The epoch before the first one of this journal: 0, unless it was made anew beside older out topics.
    pub genesis: u64,
    /// Why it exists.
    pub reason: Reason,
    /// First offsets that are not in it: (topic code, partition, offset).
    pub bound: Vec<(u8, u32, u64)>,
    /// Events that got their owner: (event, tenant).
    pub claims: Vec<(Id, Id)>,
    /// Changed fold rows.
    pub blocks: Vec<Block>,
    /// New identities, packed, by shard.
    pub identities: Vec<(u8, Bytes)>,
    /// Records that did not count, with their bytes where they are dead letters.
    pub refused: Vec<RefusedRow>,
    /// Output rows that changed: key, and value unless gone.
    pub outputs: Vec<(Bytes, Option<Bytes>)>,
    /// Versions that changed: scope, version, digest.
    pub versions: Vec<(Bytes, u64, u64)>,
    /// What happened behind gates; stands after all else, in frames that have any.
    #[serde(skip)]
    pub gates: GatesFrame,
}

/// What an epoch says of gates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatesFrame {
    /// Gates that are open from this epoch on.
    pub opened: Vec<u128>,
    /// Output rows that changed behind open gates: group, key, value.
    pub staged: Vec<(u128, Bytes, Option<Bytes>)>,
    /// Gates that closed, each with the fold rows that explain why it was open.
    pub released: Vec<(u128, Vec<Block>)>,
}

/// Bounds as they are stored.
pub fn store_bounds(bounds: &[Bound]) -> Vec<(u8, u32, u64)> {
    bounds.iter().map(|b| (b.topic.code(), b.partition, b.offset)).collect()
}

/// Bounds as they were stored. None: an unknown topic code.
pub fn load_bounds(stored: &[(u8, u32, u64)]) -> Option<Vec<Bound>> {
    stored
        .iter()
        .map(|&(code, partition, offset)| Some(Bound { topic: Topic::from_code(code)?, partition, offset }))
        .collect()
}

impl Frame {
    /// The payload of the frame in its segment.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        // Megabytes under load: growing would copy them several times. Lengths of the parts come on top of their bytes.
        let parts =
            self.blocks.len() + self.identities.len() + self.refused.len() + self.outputs.len() + self.versions.len();
        let mut payload = Vec::with_capacity(self.size() as usize + 6 * parts + 4_096);
        if self.gates == GatesFrame::default() {
            payload.push(FORMAT);
            return postcard::to_extend(self, payload);
        }
        payload.push(FORMAT_WITH_GATES);
        let payload = postcard::to_extend(self, payload)?;
        postcard::to_extend(&self.gates, payload)
    }

    /// About how many bytes it has.
    pub fn size(&self) -> u64 {
        let blocks: usize = self.blocks.iter().map(|b| b.rows.len()).sum();
        let identities: usize = self.identities.iter().map(|(_, packed)| packed.len()).sum();
        let refused: usize = self.refused.iter().map(|r| 32 + r.raw.as_ref().map_or(0, Bytes::len)).sum();
        let outputs: usize = self.outputs.iter().map(|(k, v)| k.len() + v.as_ref().map_or(0, Bytes::len)).sum();
        let staged =
            self.gates.staged.iter().map(|(_, k, v)| k.len() + v.as_ref().map_or(0, Bytes::len)).sum::<usize>();
        (blocks + identities + refused + outputs + staged) as u64
    }

    /// Reads a payload back.
    pub fn decode(pipeline: &'static str, payload: &[u8]) -> Result<Frame, PipelineError> {
        let broken = |e| PipelineError::Journal { pipeline, what: format!("a frame cannot be decoded: {e}") };
        match payload.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(broken),
            Some((&FORMAT_WITH_GATES, rest)) => {
                let (frame, rest) = postcard::take_from_bytes::<Frame>(rest).map_err(broken)?;
                Ok(Frame { gates: postcard::from_bytes(rest).map_err(broken)?, ..frame })
            }
            Some((&found, _)) => {
                Err(PipelineError::TooNew { pipeline, found: found.into(), known: FORMAT_WITH_GATES.into() })
            }
            None => Err(PipelineError::Journal { pipeline, what: "a frame is empty".into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_with_the_remedy() {
        let frame = Frame {
            epoch: 3,
            now_ms: 5,
            trusted_ms: 4,
            genesis: 0,
            reason: Reason::Records,
            bound: vec![(1, 0, 9)],
            claims: vec![("e".into(), "t".into())],
            blocks: vec![Block { fold: 1, shard: 2, rows: Bytes::from_static(b"rows") }],
            identities: vec![(3, Bytes::from_static(&[0; 26]))],
            refused: vec![],
            outputs: vec![(Bytes::from_static(b"k"), None)],
            versions: vec![],
            gates: GatesFrame::default(),
        };
        let mut payload = frame.encode().unwrap();
        assert_eq!((payload[0], Frame::decode("p", &payload).unwrap()), (FORMAT, frame.clone()));
        let staged = vec![(7, Bytes::from_static(b"k"), Some(Bytes::from_static(b"v"))), (7, Bytes::new(), None)];
        let gates = GatesFrame { opened: vec![7], staged, released: vec![(u128::MAX, vec![])] };
        let gated = Frame { gates, ..frame };
        assert_eq!(Frame::decode("p", &gated.encode().unwrap()).unwrap(), gated);
        payload[0] = FORMAT_WITH_GATES + 1;
        assert!(Frame::decode("p", &payload).unwrap_err().to_string().contains("use the newer build"));
        assert!(Frame::decode("p", &[FORMAT, 1]).is_err());
        assert!(Frame::decode("p", &[]).is_err());
    }
}
