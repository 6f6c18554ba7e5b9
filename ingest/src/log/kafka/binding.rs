//! The record of `gravity.epochs.v1`: what an epoch was bound to.

use bytes::Bytes;
use gravity_events::Topic;
use serde::{Deserialize, Serialize};

use super::super::{Bound, OutputEpoch};

#[derive(Serialize, Deserialize)]
struct Wire {
    pipeline: String,
    epoch: u64,
    now_ms: i64,
    bound: Vec<(String, u32, u64)>,
}

/// A binding, as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) pipeline: String,
    pub(super) epoch: u64,
    pub(super) now_ms: i64,
    pub(super) bound: Vec<Bound>,
}

pub(super) fn encode(pipeline: &str, epoch: &OutputEpoch) -> Bytes {
    let wire = Wire {
        pipeline: pipeline.to_owned(),
        epoch: epoch.epoch,
        now_ms: epoch.now_ms,
        bound: epoch.bound.iter().map(|b| (b.topic.name().to_owned(), b.partition, b.offset)).collect(),
    };
    Bytes::from(serde_json::to_vec(&wire).expect("a binding is plain data"))
}

/// The binding, or what is wrong with the bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<Binding, String> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let bound = wire
        .bound
        .into_iter()
        .map(|(topic, partition, offset)| match Topic::from_name(&topic) {
            Some(topic) => Ok(Bound { topic, partition, offset }),
            None => Err(format!("unknown topic {topic}")),
        })
        .collect::<Result<_, _>>()?;
    Ok(Binding { pipeline: wire.pipeline, epoch: wire.epoch, now_ms: wire.now_ms, bound })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_reads_back_and_is_plain_json() {
        let bound = vec![Bound { topic: Topic::Judgements, partition: 2, offset: 7 }];
        let epoch = OutputEpoch { epoch: 5, now_ms: -1, bound: bound.clone(), records: Vec::new() };
        let bytes = encode("boards", &epoch);
        assert_eq!(
            std::str::from_utf8(&bytes),
            Ok(r#"{"pipeline":"boards","epoch":5,"now_ms":-1,"bound":[["gravity.judgements.v1",2,7]]}"#)
        );
        assert_eq!(decode(&bytes), Ok(Binding { pipeline: "boards".into(), epoch: 5, now_ms: -1, bound }));
        assert!(decode(br#"{"pipeline":"b","epoch":1,"now_ms":0,"bound":[["x",0,0]]}"#).is_err());
        assert!(decode(b"{").is_err());
    }
}
