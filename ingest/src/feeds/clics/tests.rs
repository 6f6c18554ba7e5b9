use gravity_events::body::*;
use gravity_events::codec;

use super::*;

fn importer() -> ClicsImporter {
    ClicsImporter::new("t", "e", "/feeds/clics/e")
}

fn all(importer: &mut ClicsImporter, lines: &[&str]) -> Vec<Record> {
    lines.iter().flat_map(|l| importer.push(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect()
}

fn one(line: &str) -> Record {
    let mut records = all(&mut importer(), &[line]);
    assert_eq!(records.len(), 1, "{line}");
    records.remove(0)
}

fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|r| r.id.as_str()).collect()
}

#[test]
fn a_contest_sets_the_event_up() {
    let expected = EventConfigured {
        name: "C".into(),
        formal_name: Some("The C".into()),
        scoring: Scoring::Icpc,
        rules: BoardRules::default(),
        start_at: Some(1_677_351_600_004),
        duration_ms: Some(18_000_000),
        freeze_duration_ms: Some(3_600_000),
        penalty_ms: Some(1_200_000),
        main_group: None,
        awards: vec![],
    };
    let data = r#"{"id":"c1","name":"C","formal_name":"The C","start_time":"2023-02-25T14:00:00.004-05","duration":"5:00:00","scoreboard_freeze_duration":"01:00:00","penalty_time":20}"#;
    for line in [
        format!(r#"{{"type":"contests", "id":"pc2-1", "op":"create", "data": {data}}}"#),
        format!(r#"{{"type":"contest","id":"c1","data":{data},"token":"pc2-1"}}"#),
        format!(r#"{{"type":"contests","data":[{data}],"token":"pc2-1"}}"#),
        format!(r#"{{"type":"contest","data":{},"token":"pc2-1"}}"#, data.replace(":20}", r#":"0:20:00.000"}"#)),
    ] {
        let record = one(&line);
        assert_eq!(record.body, Body::EventConfigured(expected.clone()), "{line}");
        assert_eq!((record.id.as_str(), record.backfill, record.event.as_deref()), ("contest/pc2-1", true, Some("e")));
        assert_eq!(codec::decode(&codec::encode(&record)), Ok(record));
    }
    let mut importer = importer();
    assert_eq!(all(&mut importer, &[r#"{"type":"contest","id":"c1","data":null,"token":"2"}"#]), []);
    assert_eq!(importer.skipped()["delete of the contest"], 1);
}

#[test]
fn only_moments_that_changed_are_told() {
    let mut i = importer();
    let at = "2025-03-02T09:30:00.000Z";
    let state = |moments: &str, token: u32| format!(r#"{{"type":"state","data":{{{moments}}},"token":"s{token}"}}"#);
    let (s1, s2) =
        (state(&format!(r#""started":"{at}""#), 1), state(&format!(r#""started":"{at}","frozen":"{at}""#), 2));
    let s3 = state(&format!(r#""started":"{at}","frozen":"{at}","thawed":"{at}","finalized":"{at}""#), 3);
    let back = state(&format!(r#""started":"{at}","thawed":null,"frozen":"{at}","finalized":"{at}""#), 4);
    let end = state(&format!(r#""started":"{at}","frozen":"{at}","finalized":"{at}","end_of_updates":"{at}""#), 5);
    assert_eq!(all(&mut i, &[&state("", 0)]), []);
    let first = all(&mut i, &[&s1, &s2, &s3]);
    assert_eq!(ids(&first), ["state/started/s1", "state/frozen/s2", "state/thawed/s3", "state/finalized/s3"]);
    assert_eq!(first[0].time_ms, Some(1_740_907_800_000));
    assert_eq!(first[0].body, Body::EventStarted(Moment { at: Some(1_740_907_800_000), contest_time_ms: None }));
    // A connection that was cut tells the old states again: they take nothing back.
    assert_eq!(all(&mut i, &[&s1, &s2, &s3]), []);
    let taken_back = all(&mut i, &[&back]);
    assert_eq!(taken_back[0].body, Body::EventThawed(Moment::default()));
    assert_eq!((ids(&taken_back), taken_back[0].time_ms), (vec!["state/thawed/s4"], None));
    assert!(!i.ended());
    assert_eq!(all(&mut i, &[&end]), []);
    assert!(i.ended());
}

#[test]
fn states_without_tokens() {
    let mut i = importer();
    let on = r#"{"type":"state","data":{"started":"2025-03-02T09:30:00Z"}}"#;
    let off = r#"{"type":"state","data":{"started":null}}"#;
    let records = all(&mut i, &[on, on, off, on, on]);
    assert_eq!(records.len(), 3, "told when it changes");
    assert_ne!(records[0].id, records[2].id, "a moment that comes back is a new record");
    assert_eq!(records[0].body, records[2].body);
}

#[test]
fn every_kind_of_object() {
    for (line, body) in [
        (
            r#"{"type":"groups","id":"g","data":{"id":"g","icpc_id":"1","name":"G","hidden":true},"token":"1"}"#,
            Body::GroupRegistered(GroupRegistered {
                group: "g".into(),
                name: "G".into(),
                hidden: true,
                ..Default::default()
            }),
        ),
        (
            r#"{"type":"organizations","id":"o","data":{"id":"o","name":"O","formal_name":"The O","country":"PRT","logo":[]},"token":"1"}"#,
            Body::OrganizationRegistered(OrganizationRegistered {
                organization: "o".into(),
                name: "O".into(),
                formal_name: Some("The O".into()),
                country: Some("PRT".into()),
                ..Default::default()
            }),
        ),
        (
            r#"{"type":"teams","id":"5","data":{"id":"5","name":"T","display_name":"D","organization_id":"o","group_ids":["a",7],"hidden":false},"token":"1"}"#,
            Body::TeamRegistered(TeamRegistered {
                team: "5".into(),
                name: "T".into(),
                display_name: Some("D".into()),
                organization: Some("o".into()),
                groups: vec!["a".into(), "7".into()],
                ..Default::default()
            }),
        ),
        (
            r#"{"type":"teams","id":"5","data":{"id":"5","name":"T","group_id":"a","organization_id":null},"token":"1"}"#,
            Body::TeamRegistered(TeamRegistered {
                team: "5".into(),
                name: "T".into(),
                groups: vec!["a".into()],
                ..Default::default()
            }),
        ),
        (
            r##"{"type":"problems","id":"p","data":{"id":"p","label":"A","name":"P","ordinal":3,"color":"red","rgb":"#ff0000"},"token":"1"}"##,
            Body::ProblemPublished(ProblemPublished {
                problem: "p".into(),
                label: "A".into(),
                name: "P".into(),
                ordinal: 3,
                rgb: Some("#ff0000".into()),
                ..Default::default()
            }),
        ),
        (
            r#"{"type":"problems","id":"p","data":{"id":"p","label":"A","rgb":"red;x"},"token":"1"}"#,
            Body::ProblemPublished(ProblemPublished { problem: "p".into(), label: "A".into(), ..Default::default() }),
        ),
        (
            r#"{"type":"languages","id":"cpp","data":{"id":"cpp","name":"C++"},"token":"1"}"#,
            Body::LanguagePublished(LanguagePublished {
                language: "cpp".into(),
                name: "C++".into(),
                ..Default::default()
            }),
        ),
        (
            r#"{"type":"judgement-types","id":"WA","data":{"id":"WA","name":"wrong","penalty":true,"solved":false},"token":"1"}"#,
            Body::JudgementTypePublished(JudgementTypePublished {
                judgement_type: "WA".into(),
                name: "wrong".into(),
                solved: Some(false),
                penalty: Some(true),
                ..Default::default()
            }),
        ),
    ] {
        let record = one(line);
        assert_eq!(record.body, body, "{line}");
        assert_eq!(codec::decode(&codec::encode(&record)), Ok(record));
    }
}

const SUBMISSION: &str = r#"{"type":"submissions","id":"7","data":{"id":"7","problem_id":"p","team_id":"5","language_id":"cpp","contest_time":"0:04:48.183","time":"2025-03-02T09:34:48.183Z"},"token":"a"}"#;

#[test]
fn submissions_and_their_withdrawal() {
    let expected = SubmissionReceived {
        submission: "7".into(),
        team: "5".into(),
        problem: "p".into(),
        language: Some("cpp".into()),
        contest_time_ms: Some(288_183),
        revision: 0,
    };
    let old = r#"{"type":"submissions", "id":"pc2-274", "op":"create", "data": {"id":"7","problem_id":"p","team_id":"5","language_id":"cpp","contest_time":"00:04:48.183","time":"2025-03-02T04:34:48.183-05"}}"#;
    for (line, id) in [(SUBMISSION, "submissions/7/a"), (old, "submissions/7/pc2-274")] {
        let record = one(line);
        assert_eq!(record.body, Body::SubmissionReceived(expected.clone()));
        assert_eq!((record.id.as_str(), record.time_ms), (id, Some(1_740_908_088_183)));
    }
    let mut i = importer();
    let gone = r#"{"type":"submissions","id":"7","data":null,"token":"b"}"#;
    let records = all(&mut i, &[SUBMISSION, gone, gone]);
    let withdrawn = SubmissionWithdrawn { submission: "7".into(), team: "5".into(), revision: 0 };
    assert_eq!(records[1].body, Body::SubmissionWithdrawn(withdrawn));
    assert_eq!(records[1], records[2], "told again, the same record");
    assert_eq!(
        all(&mut importer(), &[SUBMISSION, r#"{"type":"submissions","id":"x","op":"delete","data":{"id":"7"}}"#])[1]
            .body,
        records[1].body
    );
    let mut i = importer();
    assert_eq!(all(&mut i, &[gone]), []);
    assert_eq!(i.skipped()["delete of an unknown submission"], 1);
    let bare = one(r#"{"type":"submissions","id":"7","data":{"id":"7","problem_id":"p","team_id":"5"},"token":"a"}"#);
    assert!(matches!(
        bare.body,
        Body::SubmissionReceived(SubmissionReceived { contest_time_ms: None, language: None, .. })
    ));
}

#[test]
fn a_submission_that_changes_its_team_gets_a_higher_revision() {
    let at = |team: &str, token: &str| {
        SUBMISSION
            .replace(r#""team_id":"5""#, &format!(r#""team_id":"{team}""#))
            .replace(r#""token":"a""#, &format!(r#""token":"{token}""#))
    };
    let gone = r#"{"type":"submissions","id":"7","data":null,"token":"z"}"#;
    let lines = [at("5", "a"), at("5", "b"), at("6", "c"), at("6", "d"), at("5", "e"), gone.to_string()];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let records = all(&mut importer(), &lines);
    let revisions = records.iter().map(|r| match &r.body {
        Body::SubmissionReceived(s) => (s.team.to_string(), s.revision),
        Body::SubmissionWithdrawn(s) => (s.team.to_string(), s.revision),
        other => panic!("{other:?}"),
    });
    let expected = [("5", 0), ("5", 0), ("6", 1), ("6", 1), ("5", 2), ("5", 2)].map(|(t, r)| (t.to_string(), r));
    assert_eq!(revisions.collect::<Vec<_>>(), expected);
    assert_eq!(records, all(&mut importer(), &lines), "the same feed, the same records");
}

#[test]
fn judgements() {
    let begun = r#"{"type":"judgements","id":"9","data":{"id":"9","submission_id":"7","start_contest_time":"0:04:49.109","start_time":"2025-03-02T09:34:49.110Z"},"token":"a"}"#;
    let done = r#"{"type":"judgements","id":"9","data":{"id":"9","submission_id":"7","judgement_type_id":"WA","start_contest_time":"0:04:49.109","start_time":"2025-03-02T09:34:49.110Z","end_contest_time":"0:04:52.297","end_time":"2025-03-02T09:34:52.297Z","current":false},"token":"b"}"#;
    let gone = r#"{"type":"judgements","id":"9","data":null,"token":"c"}"#;
    let records = all(&mut importer(), &[begun, done, gone]);
    let expected = JudgementRecorded {
        judgement: "9".into(),
        submission: "7".into(),
        start_contest_time_ms: Some(289_109),
        ..Default::default()
    };
    assert_eq!(
        (&records[0].body, records[0].time_ms),
        (&Body::JudgementRecorded(expected.clone()), Some(1_740_908_089_110))
    );
    let finished = JudgementRecorded {
        judgement_type: Some("WA".into()),
        end_contest_time_ms: Some(292_297),
        current: Some(false),
        ..expected.clone()
    };
    assert_eq!((&records[1].body, records[1].time_ms), (&Body::JudgementRecorded(finished), Some(1_740_908_092_297)));
    let deleted = JudgementRecorded { deleted: true, start_contest_time_ms: None, ..expected };
    assert_eq!(records[2].body, Body::JudgementRecorded(deleted));
    let unknown = one(gone);
    assert!(matches!(&unknown.body, Body::JudgementRecorded(j) if j.deleted && j.judgement == "9"));
    assert_eq!(codec::decode(&codec::encode(&unknown)), Ok(unknown));
}

#[test]
fn a_list_replaces_its_collection() {
    let mut i = importer();
    let list = r#"{"type":"teams","data":[{"id":"1","name":"A"},{"id":"2","name":"B"}],"token":"l1"}"#;
    let third = r#"{"type":"teams","id":"3","data":{"id":"3","name":"C"},"token":"x"}"#;
    assert_eq!(ids(&all(&mut i, &[list, third])), ["teams/1/l1", "teams/2/l1", "teams/3/x"]);
    // Replayed, the list must not take away what came after it.
    assert_eq!(ids(&all(&mut i, &[list, third])), ["teams/1/l1", "teams/2/l1", "teams/3/x"]);
    let records = all(&mut i, &[r#"{"type":"teams","data":[{"id":"2","name":"B"}],"token":"l2"}"#]);
    assert_eq!(ids(&records), ["teams/2/l2", "teams/1/l2", "teams/3/l2"]);
    let gone = |r: &Record| matches!(&r.body, Body::TeamRegistered(t) if t.deleted);
    assert_eq!(records.iter().map(gone).collect::<Vec<_>>(), [false, true, true]);
    let records = all(&mut i, &[r#"{"type":"teams","data":[],"token":"l3"}"#]);
    assert_eq!(ids(&records), ["teams/2/l3"], "what is gone does not vanish again");
}

#[test]
fn a_bad_object_in_a_list_loses_nothing_else() {
    let mut i = importer();
    let first = r#"{"type":"teams","data":[{"id":"1"},{"id":"2"}],"token":"l1"}"#;
    let list =
        r#"{"type":"teams","data":[{"id":"1","name":"A"},{"name":"?"},7,{"id":"2","hidden":"yes"}],"token":"l2"}"#;
    assert_eq!(ids(&all(&mut i, &[first, list])), ["teams/1/l1", "teams/2/l1", "teams/1/l2"]);
    let problems: Vec<String> = i.take_problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3);
    assert!(problems[2].starts_with("line 2: teams `2`: `hidden` is \"yes\""), "{}", problems[2]);
    assert_eq!(i.take_problems(), []);
}

#[test]
fn without_tokens_content_tells_states_apart() {
    let mut i = importer();
    let a = r#"{"type":"teams","id":"1","data":{"id":"1","name":"A"}}"#;
    let a_again = r#"{"type":"teams","id":"1","data":{"name":"A","id":"1"}}"#;
    let b = r#"{"type":"teams","id":"1","data":{"id":"1","name":"B"}}"#;
    let gone = r#"{"type":"teams","id":"1","data":null}"#;
    let records = all(&mut i, &[a, a_again, b, a, gone, a]);
    let ids = ids(&records);
    assert_eq!(ids[0], ids[1]);
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 5, "{ids:?}");
}

#[test]
fn other_kinds_are_counted() {
    let mut i = importer();
    let lines = [
        r#"{"type":"runs","id":"1","data":{"id":"1"},"token":"a"}"#,
        r#"{"type":"runs","id":"2","data":{"id":"2"},"token":"b"}"#,
        r#"{"type":"map-info","data":{},"token":"c"}"#,
        r#"{"type":"awards","id":"w","data":null,"token":"d"}"#,
    ];
    assert_eq!(all(&mut i, &lines), []);
    let counts: Vec<_> = i.skipped().iter().map(|(k, n)| (k.as_str(), *n)).collect();
    assert_eq!(counts, [("awards", 1), ("map-info", 1), ("runs", 2)]);
    assert_eq!(i.cursor(), Some(Cursor::Token("d".into())), "they move the place in the feed, too");
    for n in 0..1000 {
        assert_eq!(i.push(&format!(r#"{{"type":"k{n}","data":{{}}}}"#)), Ok(vec![]));
    }
    assert!(i.skipped().len() <= MOST_KINDS + 1);
    assert_eq!(i.skipped().values().sum::<u64>(), 1004);
}

#[test]
fn bad_lines_name_line_and_field() {
    let mut i = importer();
    i.push("").expect("a keep-alive");
    for (line, says) in [
        ("{", "line 2: not JSON"),
        (r#"{"type":"teams","data":{"name":"x"},"token":"a"}"#, "line 3: an event of `teams` without an id"),
        (
            r#"{"type":"submissions","id":"7","data":{"id":"7","team_id":"5"},"token":"a"}"#,
            "line 4: submissions `7`: `problem_id` is missing",
        ),
        (
            r#"{"type":"submissions","id":"7","data":{"id":"7","team_id":"5","problem_id":"p","contest_time":"soon"},"token":"a"}"#,
            "line 5: submissions `7`: `contest_time` is \"soon\"",
        ),
        (
            r#"{"type":"judgements","id":"7","data":{"id":"7"},"token":"a"}"#,
            "line 6: judgements `7`: `submission_id` is missing",
        ),
        (r#"{"type":"state","data":{"started":5},"token":"a"}"#, "line 7: state ``: `started` is 5"),
        (r#"{"type":"contest","data":{"duration":{}},"token":"a"}"#, "line 8: contest ``: `duration` is {}"),
        ("{\"type\":\"teams\",\"id\":\"a\\u0001\",\"data\":{}}", "line 9: `id` has control characters"),
    ] {
        let e = i.push(line).expect_err(line).to_string();
        assert!(e.starts_with(says), "{e}");
    }
    assert!(i.memory.objects.values().all(BTreeMap::is_empty), "a refused object leaves nothing behind");
    assert_eq!(i.push(SUBMISSION).expect("goes on").len(), 1);
}

#[test]
fn ids_are_unambiguous_and_fit() {
    assert_eq!(record_id(&["teams", "a/b", "c"]), "teams/a%2Fb/c");
    assert_ne!(record_id(&["teams", "a/b", "c"]), record_id(&["teams", "a", "b/c"]));
    let long = "x".repeat(250);
    let id = record_id(&["teams", &long, "token"]);
    assert!(id.len() <= MAX_ID_BYTES && id.starts_with("teams/#"));
    assert_ne!(id, record_id(&["teams", &long, "token2"]));
}

#[test]
fn a_restored_importer_goes_on_as_if_never_stopped() {
    let lines = [
        SUBMISSION,
        r#"{"type":"state","data":{"started":"2025-03-02T09:30:00Z","thawed":"2025-03-02T09:30:00Z"},"token":"s1"}"#,
        r#"{"type":"teams","data":[{"id":"1"},{"id":"2"}],"token":"l1"}"#,
        r#"{"type":"languages","id":"c","data":{"id":"c","name":"C"}}"#,
        r#"{"type":"languages","id":"c","data":{"id":"c","name":"D"}}"#,
        r#"{"type":"languages","id":"c","data":{"id":"c","name":"C"}}"#,
        r#"{"type":"state","data":{"started":"2025-03-02T09:30:00Z"},"token":"s2"}"#,
        r#"{"type":"teams","data":[{"id":"2"}],"token":"l2"}"#,
        r#"{"type":"submissions","id":"7","data":null,"token":"z"}"#,
    ];
    let whole = all(&mut importer(), &lines);
    for cut in 0..lines.len() {
        let mut before = importer();
        let mut records = all(&mut before, &lines[..cut]);
        let mut after = importer();
        after.restore(&before.snapshot().expect("it can be kept")).expect("what was kept");
        assert_eq!(after.cursor(), before.cursor());
        records.extend(all(&mut after, &lines[cut..]));
        assert_eq!(records, whole, "cut at {cut}");
    }
    assert!(importer().restore("{}").is_err());
}
