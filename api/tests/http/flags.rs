//! Labs, their alerts, and sources that are alike.

use std::sync::Arc;

use gravity_events::body::{Alike, SimilarityChanged};
use gravity_events::publish::*;
use gravity_events::{Body, Id, codec};
use serde_json::{Value, json};

use super::fixture::{Fixture, HOUR_MS, START_MS};

fn lab(tenant: &str, lab: &str) -> LabKey {
    LabKey { tenant: tenant.into(), lab: lab.into() }
}

fn seen(ago_ms: i64) -> Option<LabSeen> {
    Some(LabSeen { phase: LabPhase::Ready, seen_at_ms: Some(START_MS + HOUR_MS - ago_ms), late: 1, unwatched: 0 })
}

fn alert(of: LabKey, since_ms: i64) -> (LabAlertKey, Option<LabAlert>) {
    let key = LabAlertKey { lab: of, since_ms, metric: "cpu".into() };
    (key, Some(LabAlert { evidence_nats: 9, others: vec!["disk".into()] }))
}

fn names(answer: &Value) -> Vec<&str> {
    answer["labs"].as_array().unwrap().iter().map(|lab| lab["lab"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn labs_are_paged_and_say_what_is_unusual() {
    let f = Fixture::new();
    let labs = (0..5).map(|n| (lab(if n < 3 { "uni" } else { "work" }, &format!("lab/{n}")), seen(n * 360_000)));
    f.state.flags.publish_labs(Arc::new(LabsEpoch {
        labs: labs.collect(),
        alerts: vec![alert(lab("uni", "lab/1"), START_MS), alert(lab("work", "lab/4"), START_MS)],
        snapshot: true,
        ..LabsEpoch::default()
    }));
    assert_eq!(f.get("/api/v1/labs").await.problem(401).0, "token_needed");
    let page = f.get_as_admin("/api/v1/labs?limit=2").await.json();
    assert_eq!((names(&page), &page["next"]), (vec!["lab/0", "lab/1"], &json!("uni/lab/1")));
    let since = "2026-03-14T08:00:00.000Z";
    assert_eq!(
        page["labs"][1],
        json!({"tenant": "uni", "lab": "lab/1", "state": "ready", "seen_at": "2026-03-14T08:54:00.000Z", "silent": false, "late": 1,
            "unwatched": 0, "alert": {"metric": "cpu", "since": since, "evidence_nats": 9, "others": ["disk"]}})
    );
    let page = f.get_as_admin("/api/v1/labs?limit=2&after=uni%2Flab%2F1").await.json();
    assert_eq!((names(&page), &page["next"]), (vec!["lab/2", "lab/3"], &json!("work/lab/3")));
    assert_eq!(page["labs"][0]["silent"], true, "nothing for twelve minutes");
    let page = f.get_as_admin("/api/v1/labs?tenant=work&alerts=true").await.json();
    assert_eq!((names(&page), &page["next"]), (vec!["lab/4"], &Value::Null));
    // One alert after another in one epoch; and a lab that is gone.
    let (cleared, _) = alert(lab("work", "lab/4"), START_MS);
    f.state.flags.publish_labs(Arc::new(LabsEpoch {
        labs: vec![(lab("uni", "lab/0"), None)],
        alerts: vec![alert(lab("work", "lab/4"), START_MS + 60_000), (cleared, None)],
        ..LabsEpoch::default()
    }));
    let page = f.get_as_admin("/api/v1/labs?alerts=true").await.json();
    assert_eq!(names(&page), ["lab/1", "lab/4"]);
    assert_eq!(page["labs"][1]["alert"]["since"], "2026-03-14T08:01:00.000Z");
    assert_eq!(names(&f.get_as_admin("/api/v1/labs").await.json()), ["lab/1", "lab/2", "lab/3", "lab/4"]);
    let (code, fields) = f.get_as_admin("/api/v1/labs?after=x").await.problem(422);
    assert_eq!((code.as_str(), &fields[..]), ("invalid", &["after".to_owned()][..]));
}

#[tokio::test]
async fn pairs_come_with_the_most_alike_first() {
    let f = Fixture::new();
    let pair = |problem: &str, left: &str, right: &str, share_bp: u32| {
        let side = |team: &str| Alike { team: team.into(), submission: format!("s{team}").into() };
        let pair = SimilarityChanged {
            problem: problem.into(),
            language: "c-like".into(),
            left: side(left),
            right: side(right),
            shared: 40,
            share_bp,
        };
        (Id::from("uni"), Id::from("spring"), pair)
    };
    let publish = |pairs: Vec<(Id, Id, SimilarityChanged)>, snapshot: bool| {
        let epoch = SimilarityEpoch { pairs, snapshot, ..SimilarityEpoch::default() };
        f.state.flags.publish_similarity(Arc::new(epoch));
    };
    publish(vec![pair("p1", "1", "2", 7_100), pair("p1", "1", "3", 9_900), pair("p2", "1", "2", 8_000)], true);
    const PATH: &str = "/api/v1/events/spring/similarity";
    assert_eq!(f.get(PATH).await.problem(401).0, "token_needed");
    assert_eq!(f.get_as_admin("/api/v1/events/autumn/similarity").await.problem(404).0, "unknown_event");
    let shares = |answer: &Value| -> Vec<u64> {
        answer["pairs"].as_array().unwrap().iter().map(|p| p["share_bp"].as_u64().unwrap()).collect()
    };
    let all = f.get_as_admin(PATH).await.json();
    assert_eq!((shares(&all), &all["total"]), (vec![9_900, 8_000, 7_100], &json!(3)));
    assert_eq!(all["pairs"][0]["right"], json!({"team": "3", "submission": "s3"}));
    let some = f.get_as_admin(&format!("{PATH}?problem=p1&limit=1")).await.json();
    assert_eq!((shares(&some), &some["total"]), (vec![9_900], &json!(2)));
    publish(vec![pair("p1", "1", "3", 0)], false);
    assert_eq!(shares(&f.get_as_admin(PATH).await.json()), [8_000, 7_100]);
}

#[tokio::test]
async fn the_text_of_a_submission_is_a_record_of_its_own() {
    let f = Fixture::new();
    let path = "/api/v1/events/spring/submissions";
    let body = json!({"team": "3", "problem": "p2", "language": "rust", "source": "fn main() {}"});
    assert_eq!(f.post_json(path, body).await.status, 201);
    let records: Vec<Body> = f.log.all().iter().map(|e| codec::decode(&e.value).unwrap().body).collect();
    let [Body::SubmissionReceived(submission), Body::SourcePublished(source)] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!((&source.submission, source.text.as_str()), (&submission.submission, "fn main() {}"));
    assert_eq!((source.team.as_str(), source.problem.as_str(), source.language.as_str()), ("3", "p2", "rust"));
    let long = json!({"team": "3", "problem": "p2", "source": "x".repeat((256 << 10) + 1)});
    let (code, fields) = f.post_json(path, long).await.problem(422);
    assert_eq!((code.as_str(), &fields[..]), ("invalid", &["source".to_owned()][..]));
    assert_eq!(f.log.all().len(), 2, "nothing of it was taken");
}
