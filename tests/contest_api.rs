//! The event feed of the Contest API, through the real binary: what it says makes the same boards again; it goes on from a
//! token, also after a restart; and the public hears nothing of what is hidden.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gravity_events::Body;
use gravity_events::body::{Moment, TeamRegistered};
use parking_lot::Mutex;
use serde_json::Value;
use support::Server;
use support::contest::{attempt, bytes, reference};

const EVENT: &str = "cup";
const TEAMS: u32 = 6;
const PROBLEMS: u32 = 3;

/// What a feed said, line by line.
fn lines(text: &str) -> Vec<Value> {
    text.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).expect("a line is JSON")).collect()
}

/// The last state of every object.
fn objects(lines: &[Value]) -> BTreeMap<(String, String), Value> {
    let mut objects = BTreeMap::new();
    for line in lines {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let key = (text(&line["type"]), text(&line["id"]));
        match line["data"].is_null() {
            true => drop(objects.remove(&key)),
            false => drop(objects.insert(key, line["data"].clone())),
        }
    }
    objects
}

async fn feed(server: &Server, query: &str, token: bool) -> (u16, String) {
    let url = format!("{}/api/contests/{EVENT}/event-feed?stream=false{query}", server.url);
    let mut request = support::http().get(url);
    if token {
        request = request.bearer_auth(server.token());
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

fn last_token(lines: &[Value]) -> String {
    lines.last().expect("a line")["token"].as_str().expect("a token").to_owned()
}

/// A client that stays.
struct Client {
    heard: Arc<Mutex<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Client {
    async fn open(server: &Server, query: &str) -> Client {
        let url = format!("{}/api/contests/{EVENT}/event-feed?{query}", server.url);
        let request = support::http().get(url).bearer_auth(server.token());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let heard: Arc<Mutex<String>> = Arc::default();
        let to = heard.clone();
        let task = tokio::spawn(async move {
            let mut answer = answer;
            while let Ok(Some(piece)) = answer.chunk().await {
                to.lock().push_str(std::str::from_utf8(&piece).expect("text"));
            }
        });
        Client { heard, task }
    }

    /// Waits until it has heard of this.
    async fn until(&self, what: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.heard.lock().contains(what) {
            assert!(Instant::now() < until, "it never heard of {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn send(server: &Server, records: &[Vec<u8>]) {
    let statuses = server.send(records, true).await;
    assert!(statuses.iter().all(|s| s == "counted"), "{statuses:?}");
}

fn moment(id: &str, make: impl Fn(Moment) -> Body, at_ms: i64) -> Vec<u8> {
    bytes(EVENT, id.into(), make(Moment { at: Some(1_767_258_000_000 + at_ms), contest_time_ms: None }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_feed_says_makes_the_same_contest_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[]).await;
    send(&server, &reference(EVENT, TEAMS, PROBLEMS)).await;
    let secret = TeamRegistered { team: "secret".into(), name: "Secret".into(), hidden: true, ..Default::default() };
    send(&server, &[bytes(EVENT, "secret".into(), Body::TeamRegistered(secret))]).await;
    for n in 0..20 {
        send(&server, &attempt(EVENT, n * 300, TEAMS, PROBLEMS)).await;
    }
    let jury = Client::open(&server, "view=jury").await;
    let public = Client::open(&server, "view=public").await;
    // 17,700 s and 17,703 s are after the freeze at four hours.
    for n in [6_000, 17_700, 17_703] {
        send(&server, &attempt(EVENT, n, TEAMS, PROBLEMS)).await;
    }
    jury.until("\"j17703\"").await;
    public.until("\"s17703\"").await;
    let (status, text) = feed(&server, "", false).await;
    assert_eq!(status, 200);
    for (name, text) in [("from the start", &text), ("followed", &public.heard.lock().clone())] {
        let known = objects(&lines(text));
        let has = |kind: &str, id: &str| known.contains_key(&(kind.to_owned(), id.to_owned()));
        assert!(has("submissions", "s17700") && has("judgements", "j6000") && has("teams", "t0"), "{name}");
        assert!(!has("judgements", "j17700") && !has("teams", "secret"), "{name}: the public knows too much");
        assert!(!text.contains("secret") && !text.contains("j17700"), "{name}");
    }

    // On from a token, now and after a restart.
    let token = last_token(&lines(&text));
    let since = |token: &str| format!("&since_token={token}");
    assert_eq!(feed(&server, &since(&token), false).await, (200, String::new()), "nothing is new");
    let public_since = format!("&view=public{}", since(&token));
    assert_eq!(feed(&server, &public_since, true).await.1, "", "a token of the public's feed, with a token of mine");
    assert_eq!(feed(&server, &since(&token), true).await.0, 400, "an administrator's feed is another one");
    assert_eq!(feed(&server, &format!("&view=jury{}", since(&token)), true).await.0, 400, "another feed's token");
    assert_eq!(feed(&server, "&since_token=nonsense", false).await.0, 400);
    assert_eq!(feed(&server, "&view=jury", false).await.0, 401);
    send(&server, &attempt(EVENT, 6_300, TEAMS, PROBLEMS)).await;
    public.until("\"j6300\"").await;
    let new = lines(&feed(&server, &since(&token), false).await.1);
    let known: Vec<_> = objects(&new).into_keys().map(|(kind, id)| format!("{kind}/{id}")).collect();
    assert!(
        known.contains(&"submissions/s6300".to_owned()) && !known.contains(&"submissions/s0".to_owned()),
        "{known:?}"
    );
    assert_eq!(server.terminate(), Some(0));
    jury.task.await.expect("it ends with the server");
    public.task.await.expect("it ends with the server");
    server.spawn_again(&[]);
    server.wait_ready().await;
    let again = objects(&lines(&feed(&server, &since(&token), false).await.1));
    let has = |kind: &str, id: &str| again.contains_key(&(kind.to_owned(), id.to_owned()));
    assert!(has("judgements", "j6300") && !has("submissions", "s0"), "what came since, and no more");

    // The thaw tells all that was hidden, also to who was there before.
    let token = last_token(&lines(&feed(&server, "", false).await.1));
    send(&server, &[moment("ended", Body::EventEnded, 18_000_000), moment("thawed", Body::EventThawed, 18_600_000)])
        .await;
    send(&server, &[moment("finalized", Body::EventFinalized, 18_700_000)]).await;
    let until = Instant::now() + Duration::from_secs(30);
    while !feed(&server, &since(&token), false).await.1.contains("\"j17700\"") {
        assert!(Instant::now() < until, "the thaw tells nothing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // Read back by the platform's own importer, it is the same contest.
    let url = format!("{}/api/contests/{EVENT}", server.url);
    server.ok(&["import", "clics", &url, "--event", "copy"]);
    let board = |event: &str| {
        let mut board: Value = serde_json::from_str(&server.ok(&["board", event, "--format", "clics"])).expect("JSON");
        board.as_object_mut().expect("an object").remove("state");
        board
    };
    assert_eq!(board("copy"), board(EVENT));
    assert!(board(EVENT)["rows"].as_array().is_some_and(|rows| rows.len() == TEAMS as usize));
}
