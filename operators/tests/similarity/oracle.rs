//! Pairs against a computation from scratch, on random sources and templates that come, change and go.

use std::collections::{BTreeMap, BTreeSet};

use gravity_events::Id;
use gravity_operators::boards::facts::{EventKey, Rows};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::oracle::agree;
use gravity_operators::harness::script::Script;
use gravity_operators::similarity::pairs::{Limits, Pair, Scope, Source, Template, pairs};
use serde::{Deserialize, Serialize};

const LIMITS: Limits = Limits { common: 4, containment_bp: 4_000, shared: 2 };

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Fact {
    Source(Source),
    Template(Template),
}

fn view(rows: Rows<'_, Fact>) -> Rows<'_, Pair> {
    let sources = rows.clone().flat_map(|f| if let Fact::Source(s) = f { Some(s) } else { None });
    let templates = rows.flat_map(|f| if let Fact::Template(t) = f { Some(t) } else { None });
    pairs(sources, templates, LIMITS)
}

fn plain(facts: &[Fact]) -> Vec<Pair> {
    let mut latest: BTreeMap<(Scope, Id), Source> = BTreeMap::new();
    let mut given: BTreeSet<(Scope, u64)> = BTreeSet::new();
    for fact in facts {
        match fact {
            Fact::Template(t) => given.extend(t.fingerprints.iter().map(|f| (t.scope.clone(), *f))),
            Fact::Source(s) => {
                let slot = latest.entry((s.scope.clone(), s.team.clone())).or_insert_with(|| s.clone());
                if (s.at_ms, &s.submission) > (slot.at_ms, &slot.submission) {
                    *slot = s.clone();
                }
            }
        }
    }
    let mut holders: BTreeMap<(Scope, u64), usize> = BTreeMap::new();
    for s in latest.values() {
        s.fingerprints.iter().for_each(|f| *holders.entry((s.scope.clone(), *f)).or_default() += 1);
    }
    let counts = |s: &Source| -> BTreeSet<u64> {
        let fine = |f: &&u64| {
            let key = (s.scope.clone(), **f);
            !given.contains(&key) && holders[&key] <= LIMITS.common
        };
        s.fingerprints.iter().filter(fine).copied().collect()
    };
    let mut found = Vec::new();
    for a in latest.values() {
        for b in latest.values().filter(|b| b.scope == a.scope && a.team < b.team) {
            let (x, y) = (counts(a), counts(b));
            let shared = x.intersection(&y).count();
            let whole = x.len().min(y.len());
            if shared < LIMITS.shared as usize || shared * 10_000 / whole < LIMITS.containment_bp as usize {
                continue;
            }
            found.push(Pair {
                scope: a.scope.clone(),
                left: (a.team.clone(), a.submission.clone()),
                right: (b.team.clone(), b.submission.clone()),
                shared: shared as u32,
                containment_bp: (shared * 10_000 / whole) as u32,
            });
        }
    }
    found
}

fn scope(dice: &mut Dice) -> Scope {
    let problem = format!("p{}", dice.below(2)).into();
    Scope { event: EventKey::new("t", "e"), problem, language: "cpp".into() }
}

fn fingerprints(dice: &mut Dice) -> std::sync::Arc<[u64]> {
    let mut set: Vec<u64> = (0..dice.below(9)).map(|_| dice.below(24).wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    set.sort_unstable();
    set.dedup();
    set.into()
}

#[test]
fn pairs_are_those_of_a_computation_from_scratch() {
    let mut said = 0;
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let mut script: Script<(u8, Id), Fact> = Script::default();
        for _ in 0..25 {
            for _ in 0..dice.below(6) {
                let key = if dice.chance(12) {
                    (1, Id::from(format!("template{}", dice.below(3))))
                } else {
                    (0, Id::from(format!("s{}", dice.below(16))))
                };
                if dice.chance(15) {
                    script.remove(&key);
                    continue;
                }
                let (scope, fingerprints) = (scope(&mut dice), fingerprints(&mut dice));
                let fact = match key.0 {
                    1 => Fact::Template(Template { scope, template: key.1.clone(), fingerprints }),
                    _ => Fact::Source(Source {
                        scope,
                        team: format!("t{}", dice.below(7)).into(),
                        submission: key.1.clone(),
                        at_ms: dice.below(4) as i64,
                        fingerprints,
                    }),
                };
                script.put(key, fact);
            }
            script.end_epoch();
        }
        said += agree(script.epochs(), view, plain).iter().flatten().count();
    }
    assert!(said > 400, "only {said} changes");
}
