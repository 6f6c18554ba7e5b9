//! Whatever a feed repeats, replays or delays, the state that it leaves is that of its last word on each object.

use std::collections::BTreeMap;

use gravity_events::{Body, Id, Record};
use gravity_ingest::feeds::Importer;
use gravity_ingest::feeds::clics::ClicsImporter;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::platform::Platform;

/// One thing that happens in a contest.
#[derive(Clone, Debug)]
enum Happens {
    Team(u8, u8),
    NoTeam(u8),
    Teams(Vec<(u8, u8)>),
    Submission(u8, u8),
    NoSubmission(u8),
    Submissions(Vec<(u8, u8)>),
    Judgement(u8, u8),
    NoJudgement(u8),
    State([bool; 3]),
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens::*;
    prop_oneof![
        (0..4u8, 0..3u8).prop_map(|(t, n)| Team(t, n)),
        (0..4u8).prop_map(NoTeam),
        vec((0..4u8, 0..3u8), 0..4).prop_map(Teams),
        (0..4u8, 0..3u8).prop_map(|(s, t)| Submission(s, t)),
        (0..4u8).prop_map(NoSubmission),
        vec((0..4u8, 0..3u8), 0..4).prop_map(Submissions),
        (0..4u8, 0..3u8).prop_map(|(j, v)| Judgement(j, v)),
        (0..4u8).prop_map(NoJudgement),
        any::<[bool; 3]>().prop_map(State),
    ]
}

const MOMENTS: [&str; 3] = ["started", "frozen", "thawed"];
const AT: &str = "2025-03-02T09:30:00Z";

fn team(t: u8, n: u8) -> Value {
    json!({"id": t.to_string(), "name": format!("n{n}")})
}

fn submission(s: u8, t: u8) -> Value {
    json!({"id": s.to_string(), "team_id": t.to_string(), "problem_id": "p", "contest_time": "0:01:00"})
}

fn distinct(list: &[(u8, u8)]) -> BTreeMap<u8, u8> {
    list.iter().copied().collect()
}

fn line(n: usize, happens: &Happens, tokens: bool) -> String {
    let one = |kind: &str, id: u8, data: Value| json!({"type": kind, "id": id.to_string(), "data": data});
    let many = |kind: &str, list: Vec<Value>| json!({"type": kind, "data": list});
    let mut event = match happens {
        Happens::Team(t, name) => one("teams", *t, team(*t, *name)),
        Happens::NoTeam(t) => one("teams", *t, Value::Null),
        Happens::Teams(list) => many("teams", distinct(list).into_iter().map(|(t, n)| team(t, n)).collect()),
        Happens::Submission(s, t) => one("submissions", *s, submission(*s, *t)),
        Happens::NoSubmission(s) => one("submissions", *s, Value::Null),
        Happens::Submissions(list) => {
            many("submissions", distinct(list).into_iter().map(|(s, t)| submission(s, t)).collect())
        }
        Happens::Judgement(j, v) => one(
            "judgements",
            *j,
            json!({"id": j.to_string(), "submission_id": "1", "judgement_type_id": format!("v{v}")}),
        ),
        Happens::NoJudgement(j) => one("judgements", *j, Value::Null),
        Happens::State(set) => {
            let moments = MOMENTS.iter().zip(set).filter(|(_, on)| **on).map(|(m, _)| (m.to_string(), json!(AT)));
            json!({"type": "state", "data": Value::Object(moments.collect())})
        }
    };
    if tokens {
        event["token"] = json!(format!("t{n}"));
    }
    event.to_string()
}

/// The oracle: the last word on each object, as kind and id -> what was last said that shows.
fn last_words(story: &[Happens]) -> BTreeMap<(String, String), String> {
    let mut state: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut replace = |kind: &str, list: Vec<(u8, String)>, whole: bool| {
        if whole {
            state.retain(|(k, _), _| k != kind);
        }
        state.extend(list.into_iter().map(|(id, said)| ((kind.to_string(), id.to_string()), said)));
    };
    for event in story {
        match event {
            Happens::Team(t, n) => replace("teams", vec![(*t, format!("n{n}"))], false),
            Happens::NoTeam(t) => replace("teams", vec![(*t, String::new())], false),
            Happens::Teams(l) => {
                replace("teams", distinct(l).into_iter().map(|(t, n)| (t, format!("n{n}"))).collect(), true)
            }
            Happens::Submission(s, t) => replace("submissions", vec![(*s, t.to_string())], false),
            Happens::NoSubmission(s) => replace("submissions", vec![(*s, String::new())], false),
            Happens::Submissions(l) => {
                replace("submissions", distinct(l).into_iter().map(|(s, t)| (s, t.to_string())).collect(), true);
            }
            Happens::Judgement(j, v) => replace("judgements", vec![(*j, format!("v{v}"))], false),
            Happens::NoJudgement(j) => replace("judgements", vec![(*j, String::new())], false),
            Happens::State(set) => {
                let on = set.iter().enumerate().filter(|(_, on)| **on);
                replace("state", on.map(|(n, _)| (n as u8, AT.into())).collect(), true);
            }
        }
    }
    state.retain(|_, said| !said.is_empty());
    state
}

fn shown(platform: &Platform) -> BTreeMap<(String, String), String> {
    let show = |((kind, id), body): (&(&'static str, Id), &Body)| match body {
        Body::TeamRegistered(t) => ((kind.to_string(), id.to_string()), t.name.clone()),
        Body::SubmissionReceived(s) => ((kind.to_string(), id.to_string()), s.team.to_string()),
        Body::JudgementRecorded(j) => {
            ((kind.to_string(), id.to_string()), j.judgement_type.clone().unwrap_or_default().to_string())
        }
        moment => {
            let n = MOMENTS.iter().position(|m| format!("event.{m}") == moment.kind()).expect("a moment");
            (("state".into(), n.to_string()), AT.into())
        }
    };
    platform.there().iter().map(show).collect()
}

fn importer() -> ClicsImporter {
    ClicsImporter::new("t", "e", "s")
}

fn records(importer: &mut ClicsImporter, lines: &[String]) -> Vec<Record> {
    lines.iter().flat_map(|l| importer.push(l).expect("every line is good")).collect()
}

/// Connections are cut, and each new one begins some lines before the cut.
fn replayed(lines: &[String], cuts: &[(usize, usize)]) -> Vec<String> {
    let mut cuts: Vec<(usize, usize)> = cuts.iter().map(|(at, back)| (at % (lines.len() + 1), *back)).collect();
    cuts.sort_unstable();
    let mut out = Vec::new();
    let mut from = 0;
    for (at, back) in cuts {
        if at > from {
            out.extend_from_slice(&lines[from..at]);
            out.push(String::new());
        }
        from = at.max(from).saturating_sub(back);
    }
    out.extend_from_slice(&lines[from..]);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// The core: cut connections, with tokens and without.
    #[test]
    fn a_feed_that_starts_over_leaves_the_same_state(
        story in vec(happens(), 0..30), cuts in vec((0..40usize, 0..20usize), 0..5), tokens: bool,
    ) {
        let lines: Vec<String> = story.iter().enumerate().map(|(n, h)| line(n, h, tokens)).collect();
        let mut platform = Platform::default();
        records(&mut importer(), &replayed(&lines, &cuts)).into_iter().for_each(|r| platform.take(r));
        prop_assert_eq!(shown(&platform), last_words(&story));
        // Importing the recording again with a new importer changes nothing.
        let before = platform.there();
        records(&mut importer(), &replayed(&lines, &cuts)).into_iter().for_each(|r| platform.take(r));
        prop_assert_eq!(platform.there(), before);
    }

    /// Where the importer is stored and restored at the cut, too.
    #[test]
    fn a_restart_anywhere_leaves_the_same_state(
        story in vec(happens(), 0..30), cut in 0..40usize, back in 0..20usize, tokens: bool,
    ) {
        let lines: Vec<String> = story.iter().enumerate().map(|(n, h)| line(n, h, tokens)).collect();
        let cut = cut % (lines.len() + 1);
        let mut platform = Platform::default();
        let mut first = importer();
        records(&mut first, &lines[..cut]).into_iter().for_each(|r| platform.take(r));
        let mut second = importer();
        second.restore(&first.snapshot().expect("kept")).expect("taken back");
        records(&mut second, &lines[cut.saturating_sub(back)..]).into_iter().for_each(|r| platform.take(r));
        prop_assert_eq!(shown(&platform), last_words(&story));
    }

    /// Objects told in another order among each other, and twice: the same last record of each, by its id.
    #[test]
    fn shuffled_and_doubled_feeds_end_in_the_same_records(
        story in vec(happens(), 0..30), places in vec(0..30usize, 30), doubled in vec(any::<bool>(), 30),
    ) {
        // A whole list is about every object of its kind, so it cannot move against them.
        let story: Vec<Happens> =
            story.into_iter().filter(|h| !matches!(h, Happens::Teams(_) | Happens::Submissions(_))).collect();
        let lines: Vec<String> = story.iter().enumerate().map(|(n, h)| line(n, h, true)).collect();
        let object = |l: &String| { let v: Value = serde_json::from_str(l).expect("ours"); (v["type"].clone(), v["id"].clone()) };
        let mut order: Vec<usize> = (0..lines.len()).collect();
        order.sort_by_key(|&n| (places[n], n));
        let mut queues: BTreeMap<String, std::collections::VecDeque<String>> = BTreeMap::new();
        for l in &lines {
            queues.entry(format!("{:?}", object(l))).or_default().push_back(l.clone());
        }
        let mut shuffled = Vec::new();
        for n in order {
            let l = queues.get_mut(&format!("{:?}", object(&lines[n]))).and_then(|q| q.pop_front()).expect("one for each");
            shuffled.extend(std::iter::repeat_n(l, 1 + usize::from(doubled[n])));
        }
        let last = |lines: &[String]| {
            let mut last: BTreeMap<String, Record> = BTreeMap::new();
            for r in records(&mut importer(), lines) {
                let object = r.id.rsplit_once('/').expect("object and version").0.to_string();
                last.insert(object, r);
            }
            last
        };
        prop_assert_eq!(last(&shuffled), last(&lines));
    }

    /// Nothing that comes as a line stops the importer.
    #[test]
    fn any_text_is_taken_or_refused(lines in vec(".{0,60}", 0..5)) {
        let mut i = importer();
        for l in &lines {
            let _ = i.push(l);
        }
        prop_assert_eq!(i.push(&line(0, &Happens::Team(1, 1), true)).map(|r| r.len()), Ok(1));
    }
}

#[test]
fn memory_follows_the_objects_not_the_lines() {
    let size = |updates: usize, tokens: bool| {
        let mut i = importer();
        for n in 0..updates {
            for h in [
                Happens::Team(1, (n % 200) as u8),
                Happens::Submission(1, (n % 7) as u8),
                Happens::Judgement(1, (n % 5) as u8),
            ] {
                i.push(&line(n, &h, tokens)).expect("good");
            }
        }
        i.snapshot().expect("kept").len()
    };
    for tokens in [true, false] {
        let (some, many) = (size(1_000, tokens), size(5_000, tokens));
        assert!(many < some + 200, "{some} bytes after 1,000 updates, {many} after 5,000");
    }
}
