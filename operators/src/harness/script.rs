//! Builds scripts in terms of objects that come, change and go.

use std::collections::BTreeMap;

use super::run::Epoch;

/// Writes a script as folds would: the change of an object takes its old state back.
#[derive(Clone, Debug)]
pub struct Script<K, I> {
    now: BTreeMap<K, I>,
    at_epoch_start: BTreeMap<K, I>,
    epochs: Vec<Epoch<I>>,
}

impl<K: Ord + Clone, I: Ord + Clone> Default for Script<K, I> {
    fn default() -> Self {
        Script { now: BTreeMap::new(), at_epoch_start: BTreeMap::new(), epochs: Vec::new() }
    }
}

impl<K: Ord + Clone, I: Ord + Clone> Script<K, I> {
    /// The object is now this.
    pub fn put(&mut self, key: K, value: I) -> &mut Self {
        self.now.insert(key, value);
        self
    }

    /// The object is no more.
    pub fn remove(&mut self, key: &K) -> &mut Self {
        self.now.remove(key);
        self
    }

    /// What there is now.
    pub fn now(&self) -> &BTreeMap<K, I> {
        &self.now
    }

    /// Closes the epoch: what differs from the last one becomes its updates.
    pub fn end_epoch(&mut self) -> &mut Self {
        let mut updates = Vec::new();
        for (key, old) in &self.at_epoch_start {
            if self.now.get(key) != Some(old) {
                updates.push((old.clone(), -1));
            }
        }
        for (key, new) in &self.now {
            if self.at_epoch_start.get(key) != Some(new) {
                updates.push((new.clone(), 1));
            }
        }
        self.epochs.push(updates);
        self.at_epoch_start = self.now.clone();
        self
    }

    /// The epochs closed so far.
    pub fn epochs(&self) -> &[Epoch<I>] {
        &self.epochs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_takes_the_old_state_back() {
        let mut script = Script::default();
        script.put("a", 1).put("b", 2).end_epoch();
        script.put("a", 3).remove(&"b").put("c", 4).remove(&"c").end_epoch().end_epoch();
        assert_eq!(script.epochs(), [vec![(1, 1), (2, 1)], vec![(1, -1), (2, -1), (3, 1)], vec![]]);
        assert_eq!(script.now().len(), 1);
    }
}
