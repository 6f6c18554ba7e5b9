//! What is remembered by its place on a topic until an epoch takes it in.

use std::collections::BTreeMap;

use gravity_events::Topic;

/// Topic, partition and offset.
pub type Place = (Topic, u32, u64);

/// Takes out what lies before these bounds.
pub fn take_before<V>(map: &mut BTreeMap<Place, V>, bound: &[Place]) -> Vec<V> {
    let mut taken = Vec::new();
    for &(topic, partition, offset) in bound {
        if map.is_empty() {
            break;
        }
        let mut rest = map.split_off(&(topic, partition, offset));
        taken.extend(map.split_off(&(topic, partition, 0)).into_values());
        map.append(&mut rest);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_before_the_bound_is_taken_and_only_once() {
        let at = |partition, offset| (Topic::Submissions, partition, offset);
        let mut map: BTreeMap<Place, u32> = [at(0, 4), at(0, 5), at(1, 0), at(2, 9)].into_iter().zip(0..).collect();
        let bound = [at(0, 5), at(1, 1), (Topic::Judgements, 2, 99)];
        assert_eq!(take_before(&mut map, &bound), [0, 2]);
        assert!(take_before(&mut map, &bound).is_empty());
        assert_eq!(take_before(&mut map, &[at(0, 6), at(2, 10)]), [1, 3]);
    }
}
