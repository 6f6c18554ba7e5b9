//! Which partition a key goes to: the murmur2 of Kafka's Java clients, so that every producer agrees.

use gravity_events::Topic;

/// The partition of a key: `(murmur2(key) & 0x7fffffff) % partitions`, as Kafka's default partitioner (`partitioner=
/// murmur2_random` in librdkafka) does for a key that is there. `partitions` must not be 0.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    ((murmur2(key) & 0x7fff_ffff) as u32) % partitions
}

/// Number of partitions of a topic where none is configured: reference data keeps one order, the others spread.
pub fn default_partitions(topic: Topic) -> u32 {
    match topic {
        Topic::Reference | Topic::Epochs => 1,
        _ => 2,
    }
}

/// `org.apache.kafka.common.utils.Utils.murmur2`: 32 bits, seed 0x9747b28c.
pub fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_as_kafka_does() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
        assert_eq!(partition_of(b"foobar", 7), (-790_332_482i32 & 0x7fff_ffff) as u32 % 7);
        assert!((0..100u32).all(|n| partition_of(&n.to_le_bytes(), 1) == 0));
    }
}
