//! Views of events, incrementally, against counting everything again: random histories of small events.

#[path = "../icpc/random.rs"]
mod random;

use std::collections::{BTreeMap, BTreeSet};

use gravity_events::Id;
use gravity_events::analytics::{ViewKey, ViewRow};
use gravity_events::natural_cmp;
use gravity_operators::analytics::judged::judged;
use gravity_operators::analytics::tries::tries;
use gravity_operators::analytics::{Inputs, VIEWS, spec, views};
use gravity_operators::boards::facts::{EventKey, Judgement, MomentKind, RejudgingState, Rows, Submission};
use gravity_operators::harness::boards::{BoardScript, Fact, board_facts};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::oracle::agree;

const MINUTE: i64 = random::MINUTE;

fn view(facts: Rows<'_, Fact>) -> Rows<'_, (ViewKey, ViewRow)> {
    let facts = board_facts(facts);
    let activity = facts.submissions.clone().flat_map(|s| {
        let at_ms = s.time_ms?;
        Some((s.event, at_ms - at_ms.rem_euclid(MINUTE), s.team))
    });
    let judged = judged(&facts);
    views(&Inputs { tries: tries(judged.clone()), judged, activity: activity.distinct_core::<i64>() })
}

/// What is known of a submission, from all the facts.
struct Known<'a> {
    submission: &'a Submission,
    at_ms: Option<i64>,
    /// None: it has no verdict.
    solved: Option<bool>,
    waited_ms: Option<i64>,
}

fn known(facts: &[Fact]) -> Vec<Known<'_>> {
    let start = |event: &EventKey| {
        let started = facts.iter().find_map(|fact| match fact {
            Fact::Moment(e, MomentKind::Started, m) if e == event => m.at,
            _ => None,
        });
        started.or_else(|| {
            facts.iter().find_map(|fact| match fact {
                Fact::Config(e, config) if e == event => config.start_at,
                _ => None,
            })
        })
    };
    let applied = |event: &EventKey, rejudging: &Id| {
        facts
            .iter()
            .any(|f| matches!(f, Fact::Rejudging(e, r, RejudgingState::Applied) if e == event && r == rejudging))
    };
    let solves = |event: &EventKey, judgement_type: &Id| {
        facts.iter().any(|f| {
            matches!(f, Fact::JudgementType(e, t)
                if e == event && t.judgement_type == *judgement_type && t.solved == Some(true))
        })
    };
    let of = |submission: &'_ Submission| {
        let counts = |j: &&Judgement| {
            let is_of = j.event == submission.event && j.submission == submission.submission;
            is_of
                && j.current
                && j.judgement_type.is_some()
                && j.rejudging.as_ref().is_none_or(|r| applied(&j.event, r))
        };
        let judgements = facts.iter().filter_map(|fact| match fact {
            Fact::Judgement(j) => Some(j),
            _ => None,
        });
        let key = |j: &Judgement| (j.start_ms.or(j.end_ms).unwrap_or(0), j.end_ms.unwrap_or(0));
        let current = judgements
            .filter(counts)
            .max_by(|a, b| key(a).cmp(&key(b)).then_with(|| natural_cmp(&a.judgement, &b.judgement)));
        let at_ms = submission.contest_time_ms.or_else(|| Some(submission.time_ms? - start(&submission.event)?));
        let waited = |j: &Judgement| Some((j.end_ms? - at_ms?).max(0));
        (
            at_ms,
            current.map(|j| solves(&j.event, j.judgement_type.as_ref().expect("it has a verdict"))),
            current.and_then(waited),
        )
    };
    let submissions = facts.iter().filter_map(|fact| match fact {
        Fact::Submission(s) => Some(s),
        _ => None,
    });
    submissions
        .map(|submission| {
            let (at_ms, solved, waited_ms) = of(submission);
            Known { submission, at_ms, solved, waited_ms }
        })
        .collect()
}

/// The nearest rank, by its definition.
fn rank(values: &[i64], percent: usize) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.iter().copied().find(|v| values.iter().filter(|w| *w <= v).count() * 100 >= values.len() * percent)
}

fn plain(facts: &[Fact]) -> Vec<(ViewKey, ViewRow)> {
    let known = known(facts);
    let events: BTreeSet<&EventKey> = known.iter().map(|k| &k.submission.event).collect();
    let mut rows = Vec::new();
    for event in events {
        let of_event: Vec<&Known> = known.iter().filter(|k| k.submission.event == *event).collect();
        let mut say = |view: &str, minute_ms, by: Option<&Id>, numbers: Vec<Option<i64>>, team: Option<&Id>| {
            assert_eq!(spec(view).expect("the view is there").numbers.len(), numbers.len());
            let (tenant, event) = (event.tenant.clone(), event.event.clone());
            let key = ViewKey { tenant, event, view: view.into(), minute_ms, by: by.cloned() };
            rows.push((key, ViewRow { numbers, team: team.cloned() }));
        };
        let count = |n: usize| Some(n as i64);

        let mut active: BTreeMap<i64, BTreeSet<&Id>> = BTreeMap::new();
        for k in &of_event {
            let Some(at_ms) = k.submission.time_ms else { continue };
            active.entry(at_ms.div_euclid(MINUTE) * MINUTE).or_default().insert(&k.submission.team);
        }
        active.iter().for_each(|(minute, who)| say("active", Some(*minute), None, vec![count(who.len())], None));

        let languages: BTreeSet<Option<&Id>> = of_event.iter().map(|k| k.submission.language.as_ref()).collect();
        for language in languages {
            let of: Vec<_> = of_event.iter().filter(|k| k.submission.language.as_ref() == language).collect();
            let are = |verdict: Option<bool>| count(of.iter().filter(|k| k.solved == verdict).count());
            let numbers = vec![count(of.len()), are(Some(true)), are(Some(false)), are(None)];
            say("languages", None, language, numbers, None);
        }

        let minutes: BTreeSet<i64> = of_event.iter().filter_map(|k| k.at_ms).map(|at| at.div_euclid(MINUTE)).collect();
        for minute in minutes {
            let of = of_event.iter().filter(|k| k.at_ms.map(|at| at.div_euclid(MINUTE)) == Some(minute));
            let (judged, waiting): (Vec<&&Known>, Vec<&&Known>) = of.partition(|k| k.solved.is_some());
            let waited: Vec<i64> = judged.iter().filter_map(|k| k.waited_ms).collect();
            let mut numbers = vec![count(judged.len()), count(waiting.len())];
            numbers.extend([50, 95, 99].map(|percent| rank(&waited, percent)));
            say("queue", Some(minute * MINUTE), None, numbers, None);
        }

        let problems: BTreeSet<&Id> = of_event.iter().map(|k| &k.submission.problem).collect();
        for problem in problems {
            let of: Vec<_> = of_event.iter().filter(|k| k.submission.problem == *problem).collect();
            let teams: BTreeSet<&Id> = of.iter().map(|k| &k.submission.team).collect();
            let (mut solved, mut attempts, mut pending, mut times) = (0, 0, 0, Vec::new());
            for team in &teams {
                let mut own: Vec<_> = of.iter().filter(|k| k.submission.team == **team).collect();
                own.sort_by_key(|k| (k.at_ms.unwrap_or(i64::MAX), &k.submission.submission));
                for k in own {
                    attempts += 1;
                    pending += usize::from(k.solved.is_none());
                    if k.solved == Some(true) {
                        solved += 1;
                        times.extend(k.at_ms.map(|at| (at, *team)));
                        break;
                    }
                }
            }
            let numbers = [teams.len(), solved, teams.len() - solved, attempts, pending].map(count);
            say("funnel", None, Some(problem), numbers.to_vec(), None);
            let all: Vec<i64> = times.iter().map(|(at, _)| *at).collect();
            if let Some((first, team)) = times.iter().min() {
                let numbers = vec![count(all.len()), Some(*first), rank(&all, 50), rank(&all, 90)];
                say("solves", None, Some(problem), numbers, Some(team));
            }
        }
    }
    rows
}

fn compare(seed: u64, set_up: bool, epochs: u64, edits: u64) -> BTreeSet<Id> {
    let mut dice = Dice::new(seed);
    let mut script = BoardScript::default();
    if set_up {
        random::set_up(&mut dice, &mut script);
    }
    for _ in 0..epochs {
        for _ in 0..dice.below(edits) {
            random::edit(&mut dice, &mut script);
        }
        script.end_epoch();
    }
    let changes = agree(script.epochs(), view, plain);
    assert!(changes.iter().flatten().count() > 200, "seed {seed} says too little");
    changes.into_iter().flatten().map(|((key, _), _)| key.view).collect()
}

#[test]
fn views_agree_with_counting_again() {
    let mut said = BTreeSet::new();
    for seed in 0..3 {
        said.extend(compare(seed, false, 60, 14));
        said.extend(compare(100 + seed, true, 40, 12));
    }
    let all: BTreeSet<Id> = VIEWS.iter().map(|view| view.spec.name.into()).collect();
    assert_eq!(said, all);
}

#[test]
fn views_agree_with_a_fact_an_epoch() {
    compare(200, true, 150, 3);
}
