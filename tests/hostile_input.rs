//! Sends the real server what nobody should send, and places the like on its topics.
//!
//! Everything is answered or kept as a dead letter, the board does not move, others are served, and memory is bounded.

#[path = "hostile_input/clients.rs"]
mod clients;
#[path = "hostile_input/mutations.rs"]
mod mutations;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gravity_events::body::TeamRegistered;
use gravity_events::{Body, Record, Topic, codec};
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions};
use gravity_ingest::log::{Log, Produce};
use gravity_operators::harness::dice::Dice;
use mutations::{EVENT, Mutation, Stop, mutation, now_ms};
use reqwest::Client;
use serde_json::Value;
use support::Server;
use support::contest::{attempt, reference};
use support::environment::seed;

/// How much of a dead letter is kept.
const KEPT_BYTES: usize = 512 << 10;

/// Refused records, repeated ones among them, whose fate the server remembers.
const REMEMBERED: usize = 20_000;

/// What is on the boards, in public and for the jury.
async fn boards(server: &Server) -> Vec<Value> {
    let mut boards = Vec::new();
    for path in ["board?limit=1000", "board?limit=1000&view=jury", "board/teams/t1"] {
        boards.push(server.get_json(&format!("/api/v1/events/{EVENT}/{path}")).await);
    }
    // The epoch is the platform's, and goes on with every record.
    boards.iter_mut().filter_map(Value::as_object_mut).for_each(|b| drop(b.remove("epoch")));
    boards
}

/// Dead letters as they have to be: by id, what was sent.
type Expected = BTreeMap<String, Mutation>;

/// Places broken records on the topics of a stopped server.
async fn place(server: &Server, random: &mut Dice, count: u64) -> Expected {
    let log = EmbeddedLog::open(&server.dir.join("log"), EmbeddedOptions::default()).expect("the log of the server");
    let (mut records, mut placed) = (Vec::new(), Vec::new());
    for n in 0..count {
        let topic = *random.pick(&[Topic::Reference, Topic::Submissions, Topic::Judgements]);
        let mut m = mutation(n, random, n % 20 == 0);
        if random.below(20) == 0 {
            // A good record where it does not belong.
            let other = if topic == Topic::Submissions { 1 } else { 0 };
            let bytes = attempt(EVENT, 2_000_000 + n as u32, 20, 5).swap_remove(other);
            m = Mutation { how: "wrong topic", bytes, stop: Stop::Pipeline, codes: &["wrong_topic"], field: None };
        } else if m.stop == Stop::Pipeline {
            continue; // those come by HTTP
        }
        records.push(Produce {
            topic,
            key: format!("t/{EVENT}/{n}").into(),
            partition: None,
            value: m.bytes.clone().into(),
        });
        placed.push(m);
    }
    let mut positions = Vec::new();
    while !records.is_empty() {
        let part = records.drain(..records.len().min(500)).collect();
        positions.extend(log.append(part).await.expect("they are appended"));
    }
    log.close();
    let id = |p: &gravity_events::Position| format!("{}/{}/{}", p.topic, p.partition, p.offset);
    positions.iter().map(id).zip(placed).collect()
}

/// A hostile producer, and what became of its records.
struct Producer {
    client: Client,
    url: String,
    token: String,
    random: Dice,
    sent: u64,
    /// Bytes of them, without those of megabytes, which are stopped at the door.
    sent_bytes: usize,
    /// Refused by the pipeline, with ids.
    kept: Expected,
    /// The same where the answer does not give the place by itself.
    kept_single: usize,
    by_kind: BTreeMap<&'static str, u64>,
}

impl Producer {
    /// Sends so many more: one in so many by itself, the others in batches.
    async fn send(&mut self, count: u64, one_in: u64) {
        let goal = self.sent + count;
        let (mut batch, mut spoilt) = (Vec::new(), Vec::new());
        while self.sent < goal {
            let m = self.next();
            if self.random.below(one_in) == 0 {
                self.single(m).await;
                continue;
            }
            let (list, most) = if m.stop == Stop::Text { (&mut spoilt, 20) } else { (&mut batch, 100) };
            list.push(m);
            let bytes: usize = list.iter().map(|m| m.bytes.len()).sum();
            if self.random.below(most) < list.len() as u64 / 4 || bytes > 8 << 20 || self.sent == goal {
                let list = std::mem::take(list);
                self.batch(list).await;
            }
        }
        self.batch(batch).await;
        self.batch(spoilt).await;
    }

    /// Sends a record that a pipeline refuses, with the longest of details, so often.
    async fn refused(&mut self, count: usize) {
        let m = loop {
            let m = self.next();
            if m.codes == ["conflict"] {
                break m;
            }
        };
        for _ in 0..count.div_ceil(1_000) {
            self.batch(vec![m.clone(); 1_000]).await;
            self.sent += 1_000;
        }
    }

    /// Sends more; gives the median of the resident memory meanwhile, in KiB: it goes up and down by what is in flight.
    async fn send_and_measure(&mut self, count: u64, pid: u32) -> u64 {
        let mut samples = Vec::new();
        for _ in 0..25 {
            self.send(count / 25, 20).await;
            samples.push(resident_kib(pid));
        }
        samples.sort_unstable();
        eprintln!("resident after {}: {samples:?} KiB", self.sent);
        samples[samples.len() / 2]
    }

    fn next(&mut self) -> Mutation {
        self.sent += 1;
        let m = mutation(10_000_000 + self.sent, &mut self.random, self.sent.is_multiple_of(20));
        *self.by_kind.entry(m.how).or_default() += 1;
        self.sent_bytes += Some(m.bytes.len()).filter(|bytes| *bytes <= KEPT_BYTES).unwrap_or(0);
        m
    }

    fn sent_kib(&self) -> u64 {
        self.sent_bytes as u64 >> 10
    }

    async fn post(&self, kind: &str, body: Vec<u8>) -> (u16, String, Value) {
        let request = self.client.post(format!("{}/api/v1/records?wait=visible", self.url)).bearer_auth(&self.token);
        let answer = request.header("content-type", kind).body(body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let media = answer.headers()["content-type"].to_str().expect("text").to_owned();
        let text = answer.text().await.expect("text");
        (status, media, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
    }

    async fn single(&mut self, m: Mutation) {
        let (status, media, problem) = self.post("application/cloudevents+json", m.bytes.clone()).await;
        let wanted = match (m.stop, m.codes) {
            (Stop::Pipeline, ["conflict"]) => 409,
            (Stop::Pipeline, _) => 422,
            (_, ["too_large"]) => 413,
            _ => 400,
        };
        assert_eq!((status, media.as_str()), (wanted, "application/problem+json"), "{}: {problem}", show(&m));
        for key in ["type", "title", "detail", "request_id"] {
            assert!(problem[key].as_str().is_some_and(|t| !t.is_empty()), "no {key}: {problem}");
        }
        assert_eq!(problem["status"], wanted);
        assert!(problem.to_string().len() < 4_096, "a payload is echoed: {problem}");
        check_problem(&m, &problem);
        self.kept_single += usize::from(m.stop == Stop::Pipeline);
    }

    /// A batch, with a good record before and after: it must not suffer.
    async fn batch(&mut self, batch: Vec<Mutation>) {
        if batch.is_empty() {
            return;
        }
        let good = reference(EVENT, 1, 1).swap_remove(3);
        let records = std::iter::once(&good).chain(batch.iter().map(|m| &m.bytes)).chain([&good]);
        let body = [b"[".to_vec(), records.cloned().collect::<Vec<_>>().join(&b","[..]), b"]".to_vec()].concat();
        let (status, media, answer) = self.post("application/cloudevents-batch+json", body).await;
        if status != 200 {
            // Only bytes that cannot be told apart spoil a batch, and then nothing of it is taken.
            assert!(batch.iter().any(|m| m.stop == Stop::Text), "{answer}");
            assert_eq!((status, media.as_str(), &answer["code"]), (400, "application/problem+json", &"syntax".into()));
            return;
        }
        let results = answer["results"].as_array().expect("results");
        assert_eq!(results.len(), batch.len() + 2);
        for good in [&results[0], &results[results.len() - 1]] {
            assert_eq!(good["status"], "duplicate", "{good}");
        }
        for (m, result) in batch.into_iter().zip(&results[1..]) {
            let wanted = if m.codes == ["conflict"] { "conflict" } else { "refused" };
            assert_eq!(result["status"], wanted, "{}: {result}", show(&m));
            check_problem(&m, &result["problem"]);
            if m.stop == Stop::Pipeline {
                let topic = result["topic"].as_str().expect("it is on a topic");
                self.kept.insert(format!("{topic}/{}/{}", result["partition"], result["offset"]), m);
            }
        }
    }
}

/// A problem says by its code what is wrong, and where.
fn check_problem(m: &Mutation, problem: &Value) {
    let code = problem["code"].as_str().unwrap_or_default();
    assert!(m.codes.contains(&code), "{}: {problem}", show(m));
    let Some(field) = m.field.as_ref().filter(|_| code != "syntax") else { return };
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors: {}: {problem}", show(m)));
    let named = |e: &Value| {
        e["field"].as_str().is_some_and(|f| f.starts_with(field.as_str()))
            && e["message"].as_str().is_some_and(|m| !m.is_empty())
    };
    assert!(errors.iter().any(named), "`{field}` is not named: {}: {problem}", show(m));
}

fn show(m: &Mutation) -> String {
    format!("{}: {}", m.how, String::from_utf8_lossy(&m.bytes[..m.bytes.len().min(700)]))
}

/// Dead letters as the command lists them: by id.
fn listed(server: &Server) -> BTreeMap<String, Value> {
    let list = server.ok(&["deadletter", "list", "--json"]);
    let letters = list.lines().map(|l| serde_json::from_str::<Value>(l).expect("a line is JSON"));
    letters.map(|l| (l["id"].as_str().expect("an id").to_owned(), l)).collect()
}

/// Waits until so many dead letters are listed: they follow the epoch that refused them.
async fn until_listed(server: &Server, count: usize) -> BTreeMap<String, Value> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let letters = listed(server);
        if letters.len() == count {
            return letters;
        }
        assert!(Instant::now() < until && letters.len() < count, "{} dead letters, not {count}", letters.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn check_letters(expected: &Expected, letters: &BTreeMap<String, Value>) {
    for (id, m) in expected {
        let letter = letters.get(id).unwrap_or_else(|| panic!("{id} is not listed: {}", show(m)));
        let code = letter["code"].as_str().unwrap_or_default();
        assert!(m.codes.contains(&code), "{}: {letter}", show(m));
        assert_eq!(letter["bytes"].as_u64(), Some(m.bytes.len() as u64), "{letter}");
        assert!(letter["detail"].as_str().is_some_and(|d| !d.is_empty()), "{letter}");
    }
}

/// Resident memory that a process has of its own, in KiB. Not the pages of the binary: of its hundreds of megabytes the kernel
/// maps the more the more other servers have read.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A live record that is too early for now and not in three seconds.
fn early() -> (Vec<u8>, i64) {
    let time_ms = now_ms() + 303_000;
    let team = TeamRegistered { team: "late".into(), name: "Late".into(), ..Default::default() };
    let record = Record {
        id: "late".into(),
        source: "test".into(),
        tenant: "t".into(),
        event: Some("later".into()),
        subject: None,
        time_ms: Some(time_ms),
        backfill: false,
        body: Body::TeamRegistered(team),
    };
    (codec::encode(&record), time_ms)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_records_are_answered_or_kept_and_move_nothing() {
    let mut random = Dice::new(seed());
    let dir = tempfile::tempdir().expect("a folder");
    // Pages that are free go back at once: what is resident is what is held, not what the allocator kept (which
    // moves by a fifth from run to run).
    let mut server = Server::start(dir.path(), &[("MIMALLOC_PURGE_DELAY", "0")]).await;
    server.send(&reference(EVENT, 20, 5), true).await;
    // Identities are the tenant's, not the event's: this one is from elsewhere.
    let elsewhere =
        |record: Vec<u8>| String::from_utf8(record).expect("text").replacen("\"test\"", "\"other\"", 1).into();
    let later: Vec<Vec<u8>> = reference("later", 1, 1).into_iter().map(elsewhere).collect();
    assert!(server.send(&later, true).await.iter().all(|s| s == "counted"));
    let attempts: Vec<_> = (0..200).flat_map(|n| attempt(EVENT, n, 20, 5)).collect();
    server.send(&attempts, true).await;
    let before = boards(&server).await;

    // On the topics, where nobody stops them.
    assert_eq!(server.terminate(), Some(0));
    let mut expected = place(&server, &mut random, 2_000).await;
    server.spawn_again(&[]);
    server.wait_ready().await;
    check_letters(&expected, &until_listed(&server, expected.len()).await);
    assert_eq!(boards(&server).await, before, "broken records on topics moved the board");

    // By HTTP.
    let mut producer = Producer {
        client: Client::new(),
        url: server.url.clone(),
        token: server.token(),
        random,
        sent: 0,
        sent_bytes: 0,
        kept: Expected::new(),
        kept_single: 0,
        by_kind: BTreeMap::new(),
    };
    let pid = server.pid();
    producer.send(5_000, 2).await;
    producer.send(5_000, 50).await;
    eprintln!("{:?}", producer.by_kind);
    assert!(producer.by_kind.len() == 18, "some kind of mutation never came");
    expected.append(&mut producer.kept);
    check_letters(&expected, &until_listed(&server, expected.len() + producer.kept_single).await);
    assert_eq!(boards(&server).await, before, "broken records moved the board");

    // Once as many are remembered as ever will be, more leave nothing behind.
    producer.send(15_000, 50).await;
    producer.refused(REMEMBERED).await;
    let (early_kib, by_then_kib) = (producer.send_and_measure(5_000, pid).await, producer.sent_kib());
    producer.send(65_000, 50).await;
    let late_kib = producer.send_and_measure(5_000, pid).await;
    expected.append(&mut producer.kept);
    // What is resident depends on what else the machine does, too; a third of what was sent is more than that.
    let brought_kib = producer.sent_kib() - by_then_kib;
    eprintln!("resident: {early_kib} KiB; after {brought_kib} KiB of broken records more: {late_kib} KiB");
    assert!(
        late_kib < early_kib + brought_kib / 3,
        "{brought_kib} KiB: memory grew from {early_kib} to {late_kib} KiB"
    );
    assert_eq!(boards(&server).await, before, "broken records moved the board");
    let letters = until_listed(&server, expected.len() + producer.kept_single).await;
    check_letters(&expected, &letters);

    // The bytes come back as they were.
    let mut random = producer.random;
    let ids: Vec<&String> = expected.keys().collect();
    let large = ids.iter().copied().find(|id| expected[*id].bytes.len() > KEPT_BYTES).expect("a large one was placed");
    let mut shown: Vec<&String> = (0..12).map(|_| *random.pick(&ids)).collect();
    shown.push(large);
    for id in shown {
        let out =
            support::gravity(&server.dir, &server.url).args(["deadletter", "show", id]).output().expect("it runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let sent = &expected[id].bytes;
        assert!(out.stdout == sent[..sent.len().min(KEPT_BYTES)], "{id} has other bytes");
    }

    // A retry of what is still broken is refused again, of what was not kept whole is not tried.
    let broken = ids.iter().copied().find(|id| expected[*id].how == "wrong type in data").expect("there is one");
    let retried: Value = serde_json::from_str(&server.ok(&["deadletter", "retry", broken, large])).expect("JSON");
    assert_eq!(retried["results"][0]["status"], "appended");
    assert_eq!(retried["results"][1]["status"], "incomplete");
    let count = letters.len() + 1;
    until_listed(&server, count).await;
    // Once its cause is mended (here: time has passed) it counts.
    let (record, time_ms) = early();
    assert_eq!(server.send(std::slice::from_ref(&record), true).await, ["refused"]);
    let letters = until_listed(&server, count + 1).await;
    let id = letters.values().find(|l| l["code"] == "too_early" && l["bytes"] == record.len()).expect("it is listed");
    let page = "/api/v1/events/later/board";
    assert_eq!(server.get_json(page).await["total_rows"], 1);
    while now_ms() + 300_000 < time_ms + 100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.ok(&["deadletter", "retry", id["id"].as_str().expect("an id")]);
    let until = Instant::now() + Duration::from_secs(30);
    while server.get_json(page).await["total_rows"] != 2 {
        assert!(Instant::now() < until, "the retried record does not count");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.send(&[record], true).await, ["duplicate"]);
    assert_eq!(boards(&server).await, before);
    server.ok(&["verify"]);
    assert_eq!(server.terminate(), Some(0), "a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_clients_do_not_keep_others_from_being_served() {
    const IDLE: usize = 2_000;
    let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files.current = files.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, files).expect("up to the maximum is allowed");
    let mut random = Dice::new(seed());
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path(), &[]).await;
    server.send(&reference(EVENT, 20, 5), true).await;
    let (port, token) = (server.port, server.token());

    // A good client, all the time: each of its requests must be answered well.
    let served = Arc::new(AtomicU64::new(0));
    let good = {
        let (served, url, token) = (served.clone(), server.url.clone(), token.clone());
        tokio::spawn(async move {
            let client = Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
            for n in 0.. {
                let page = client.get(format!("{url}/api/v1/events/{EVENT}/board")).send().await.expect("an answer");
                assert_eq!(page.status(), 200);
                let statuses = support::post(&url, &token, &attempt(EVENT, n, 20, 5), true).await.expect("an answer");
                assert!(statuses.iter().all(|s| s == "counted"), "{statuses:?}");
                served.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let until_served = async |more: u64| {
        let (goal, until) = (served.load(Ordering::Relaxed) + more, Instant::now() + Duration::from_secs(120));
        while served.load(Ordering::Relaxed) < goal {
            assert!(Instant::now() < until && !good.is_finished(), "the good client is not served");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until_served(20).await;
    let before_kib = resident_kib(server.pid());

    let mut idle = clients::idle(port, IDLE).await;
    until_served(20).await;
    let mut slow = clients::slow_heads(port, 100);
    slow.extend(clients::slow_bodies(port, &token, 100));
    let stream = format!("/api/v1/events/{EVENT}/board/stream?limit=1000");
    let deaf = clients::deaf_streams(port, &stream, 100).await;
    for _ in 0..200 {
        let bytes = clients::garbage(&mut random);
        if let Some(answer) = clients::raw(port, &bytes).await {
            // HTTP/2's first line is answered by closing, or in its own framing.
            let refused = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
            assert!(refused || bytes.starts_with(b"PRI"), "{answer}");
        }
    }
    until_served(50).await;
    let loaded_kib = resident_kib(server.pid());
    eprintln!("resident: {before_kib} KiB, under attack {loaded_kib} KiB");
    assert!(loaded_kib < before_kib + (200 << 10), "memory grew from {before_kib} to {loaded_kib} KiB");

    // Those who say nothing are sent away.
    let until = Instant::now() + Duration::from_secs(120);
    for stream in &mut idle {
        let left = until.saturating_duration_since(Instant::now());
        let end = tokio::time::timeout(left, tokio::io::AsyncReadExt::read_to_end(stream, &mut Vec::new())).await;
        assert!(end.is_ok(), "an idle connection stays for ever");
    }
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    drop(deaf);
    until_served(20).await;
    good.abort();
    server.ok(&["verify"]);
    assert_eq!(server.terminate(), Some(0), "a clean stop");
}
