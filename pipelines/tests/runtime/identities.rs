//! Identities in tables and runs against a plain map, through merges, expiry and restarts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use gravity_events::Identity;
use gravity_events::record::stable_hash128;
use gravity_pipelines::runtime::dedupe::run::RunName;
use gravity_pipelines::runtime::dedupe::runs::{self, RunSet, Runs};
use gravity_pipelines::runtime::dedupe::{FOREVER, Identities, Verdict, is_kept, pack, unpack};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// An epoch of records: (which, data, imported).
    Epoch(Vec<(u16, u8, bool)>),
    /// Days go by.
    Days(u8),
    /// The identities so far are put aside for a merge.
    PutAside,
    /// The merge that was begun ends.
    Merge,
    /// A merge is killed, then everything starts again.
    Killed,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (0..400u16, 0..2u8, proptest::bool::weighted(0.2));
    let step = prop_oneof![
        6 => proptest::collection::vec(record, 0..60).prop_map(Step::Epoch),
        2 => (1..20u8).prop_map(Step::Days),
        3 => Just(Step::PutAside),
        3 => Just(Step::Merge),
        1 => Just(Step::Killed),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A worker, what is on disk, and the plain map.
struct World<'d> {
    dir: &'d Path,
    today: u16,
    epoch: u64,
    worker: Identities,
    runs: Arc<Runs>,
    /// As the base names them.
    base: (u64, Vec<RunName>),
    /// Identities of epochs after the base.
    frames: Vec<(u64, Vec<u8>)>,
    aside: Option<u64>,
    plain: HashMap<u128, (u64, u16)>,
}

impl World<'_> {
    fn restart(&mut self) {
        let set = RunSet::open(self.dir, self.base.0, &self.base.1).unwrap();
        runs::clean(self.dir, &self.base.1).unwrap();
        self.runs = Arc::new(Runs::new(set));
        self.worker = Identities::with_capacity(0, self.runs.clone());
        self.frames.iter().for_each(|(_, packed)| self.worker.load(packed));
        self.aside = None;
    }

    fn merge(&mut self, keep: bool) {
        let Some(upto) = self.aside else { return };
        let new = self.frames.iter().filter(|f| f.0 <= upto).flat_map(|f| unpack(&f.1)).collect();
        let set = self.runs.get().merged(self.dir, new, upto, self.today, true, &|| true).unwrap().unwrap();
        if keep {
            self.aside = None;
            self.base = (upto, set.names());
            assert!(set.names().len() <= 8);
            self.frames.retain(|f| f.0 > upto);
            self.runs.replace(set);
            runs::clean(self.dir, &self.base.1).unwrap();
        }
    }

    fn epoch(&mut self, records: &[(u16, u8, bool)]) {
        self.epoch += 1;
        self.worker.refresh();
        let mut packed = Vec::new();
        for (which, data, imported) in records {
            let identity = Identity { id: stable_hash128(&[&which.to_le_bytes()]), data: u64::from(*data) };
            let day = if *imported { FOREVER } else { self.today };
            let known = self.plain.get(&identity.id).filter(|(_, day)| is_kept(*day, self.today));
            let expected = match known {
                None => Verdict::New,
                Some((data, _)) if *data == identity.data => Verdict::Duplicate,
                Some(_) => Verdict::Conflict,
            };
            assert_eq!(self.worker.look(identity, self.today).unwrap(), expected, "{which}");
            if expected == Verdict::New {
                self.worker.insert(identity, day);
                self.plain.insert(identity.id, (identity.data, day));
                pack(&mut packed, identity, day);
            }
        }
        self.frames.push((self.epoch, packed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn tables_and_runs_say_what_a_plain_map_says(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let runs = Arc::<Runs>::default();
        let mut w = World {
            dir: dir.path(),
            today: 20_000,
            epoch: 0,
            worker: Identities::with_capacity(0, runs.clone()),
            runs,
            base: (0, Vec::new()),
            frames: Vec::new(),
            aside: None,
            plain: HashMap::new(),
        };
        for step in steps {
            match step {
                Step::Epoch(records) => w.epoch(&records),
                Step::Days(n) => w.today += u16::from(n),
                Step::PutAside if w.aside.is_none() && w.epoch > w.base.0 => {
                    w.worker.put_aside(w.epoch);
                    w.aside = Some(w.epoch);
                }
                Step::PutAside => {}
                Step::Merge => w.merge(true),
                Step::Killed => {
                    w.merge(false);
                    w.restart();
                }
                Step::Restart => w.restart(),
            }
        }
        let all: Vec<_> = (0..400).map(|n| (n, 0, false)).collect();
        w.epoch(&all);
    }
}

#[test]
fn runs_stay_few_and_forgotten_identities_leave_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = RunSet::none(0);
    let id = |n: u64| stable_hash128(&[&n.to_le_bytes()]);
    for merge in 1..=200u64 {
        // One identity in ten is imported.
        let day = |n: u64| if n.is_multiple_of(10) { FOREVER } else { 100 + merge as u16 };
        let new = (merge * 100..merge * 100 + 100).map(|n| (id(n), n, day(n))).collect();
        set = set.merged(dir.path(), new, merge, 100 + merge as u16, false, &|| true).unwrap().unwrap();
        runs::clean(dir.path(), &set.names()).unwrap();
        assert!(set.names().len() <= 8, "{:?}", set.names());
    }
    // 2,000 imported, some 33 days of 90, and what half a run may hold of the forgotten.
    assert!((2_000 + 33 * 90..9_000).contains(&set.len()), "{}", set.len());
    assert!(
        (100..20_100).filter(|n: &u64| n.is_multiple_of(10)).all(|n| set.get(id(n)).unwrap() == Some((n, FOREVER)))
    );
    assert_eq!(std::fs::read_dir(runs::runs_dir(dir.path())).unwrap().count(), set.names().len());
}

#[test]
fn a_merge_that_is_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let set = RunSet::none(0);
    let new = (0..1_000u64).map(|n| (stable_hash128(&[&n.to_le_bytes()]), n, 1)).collect();
    assert!(set.merged(dir.path(), new, 1, 1, false, &|| false).unwrap().is_none());
    assert_eq!(std::fs::read_dir(runs::runs_dir(dir.path())).unwrap().count(), 0);
}
