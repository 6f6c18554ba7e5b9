//! Following a live Contest API that cuts connections, repeats itself, forgets places, and a client that is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gravity_events::{Body, Id};
use gravity_ingest::client::Client;
use gravity_ingest::feeds::Importer;
use gravity_ingest::feeds::import::{ImportError, ImportFailure, ImportOptions, Report, import};
use gravity_ingest::feeds::resume::{Cursor, ResumeFile};
use gravity_ingest::feeds::source::{LiveOptions, Source, SourceError};

use super::contest_server::{Act, ContestServer, Then};
use super::import::clics;
use super::platform::Platform;
use super::record_server::RecordServer;

fn options(state: Option<&Path>) -> ImportOptions {
    let live = LiveOptions {
        silence: Duration::from_millis(150),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(10),
        give_up_after: Duration::from_millis(150),
    };
    let pause = Duration::from_millis(10);
    ImportOptions { live, pause, state_dir: state.map(Path::to_path_buf), ..Default::default() }
}

/// A contest of submissions that are judged and sometimes withdrawn or moved, with moments taken back.
fn contest(end: bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut say = |kind: &str, id: &str, data: String| {
        let n = lines.len();
        let id = if id.is_empty() { String::new() } else { format!("\"id\":\"{id}\",") };
        lines.push(format!("{{\"type\":\"{kind}\",{id}\"data\":{data},\"token\":\"t{n}\"}}"));
    };
    let at = "\"2025-03-02T09:30:00Z\"";
    say("contest", "c", "{\"id\":\"c\",\"name\":\"C\",\"duration\":\"5:00:00\"}".into());
    say("teams", "", "[{\"id\":\"1\"},{\"id\":\"2\"},{\"id\":\"3\"}]".into());
    say("state", "", format!("{{\"started\":{at}}}"));
    for s in 0..20 {
        let id = s.to_string();
        let submission = |team: u32| format!("{{\"id\":\"{s}\",\"team_id\":\"{team}\",\"problem_id\":\"p\"}}");
        say("submissions", &id, submission(1 + s % 3));
        say("judgements", &id, format!("{{\"id\":\"{s}\",\"submission_id\":\"{s}\"}}"));
        say("judgements", &id, format!("{{\"id\":\"{s}\",\"submission_id\":\"{s}\",\"judgement_type_id\":\"AC\"}}"));
        match s % 5 {
            1 => say("submissions", &id, "null".into()),
            2 => say("submissions", &id, submission(1 + (s + 1) % 3)),
            3 => say("judgements", &id, "null".into()),
            _ => say("runs", &id, "{}".into()),
        }
    }
    say("state", "", format!("{{\"started\":{at},\"thawed\":{at}}}"));
    say("teams", "", "[{\"id\":\"1\"},{\"id\":\"3\"}]".into());
    say("state", "", format!("{{\"started\":{at}}}"));
    if end {
        say("state", "", format!("{{\"started\":{at},\"end_of_updates\":{at}}}"));
    }
    lines
}

fn there(server: &RecordServer) -> BTreeMap<(&'static str, Id), Body> {
    let mut platform = Platform::default();
    server.taken().records.iter().cloned().for_each(|r| platform.take(r));
    platform.there()
}

fn expected(lines: &[String]) -> BTreeMap<(&'static str, Id), Body> {
    let (mut platform, mut importer) = (Platform::default(), clics());
    lines.iter().flat_map(|l| importer.push(l).unwrap()).for_each(|r| platform.take(r));
    platform.there()
}

async fn follow(contest: &ContestServer, server: &RecordServer, state: Option<&Path>) -> Result<Report, ImportError> {
    let source = Source::parse(&contest.url).unwrap();
    import(&server.client(), &source, &mut clics(), &options(state), &mut |_| {}).await
}

fn resume_file(dir: &Path, contest: &ContestServer, client: &Client) -> ResumeFile {
    let feed = Source::parse(&contest.url).unwrap().to_string();
    ResumeFile::new(dir, &feed, &clics().scope(), &client.server())
}

fn token(n: usize) -> Option<String> {
    Some(format!("t{n}"))
}

#[tokio::test]
async fn nothing_is_lost_by_cuts_repetitions_and_forgotten_places() {
    let lines = contest(true);
    let tell = |overlap, lines, then| Act::Tell { overlap, lines, then };
    let acts = [
        tell(0, 10, Then::Break),
        Act::Status(503),
        tell(6, 12, Then::Close),
        tell(0, 0, Then::Close),
        Act::Status(400),
        tell(0, 30, Then::Break),
        tell(30, 45, Then::Hang),
        Act::Status(404),
        tell(3, 20, Then::Break),
    ];
    let contest = ContestServer::start(&lines, &acts).await;
    let server = RecordServer::start().await;
    let report = follow(&contest, &server, None).await.unwrap();
    assert_eq!(there(&server), expected(&lines));
    assert_eq!((report.bad_total(), report.accepted), (0, 0));
    // After 10 lines t9; 12 lines from 6 before it t15; the 400 sends it to the start; 30 lines t29; and so on.
    let places = [None, token(9), token(9), token(15), token(15), None, token(29), token(44), token(44), token(61)];
    assert_eq!(contest.places(), places);
    assert!(contest.told().requests.iter().all(|(q, _)| q["stream"] == "true"));
}

#[tokio::test]
async fn a_killed_client_goes_on_where_the_server_had_everything() {
    let lines = contest(true);
    let acts = [Act::Tell { overlap: 0, lines: 40, then: Then::Hang }];
    let contest = ContestServer::start(&lines, &acts).await;
    let server = RecordServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut patient = options(Some(dir.path()));
    patient.live.silence = Duration::from_secs(60);
    let (source, client) = (Source::parse(&contest.url).unwrap(), server.client());
    let first = tokio::spawn(async move { import(&client, &source, &mut clics(), &patient, &mut |_| {}).await });
    let file = resume_file(dir.path(), &contest, &server.client());
    // The pause after line 40 makes it send what it has, and keep the place once that is answered.
    while file.load().unwrap().is_none_or(|s| s.cursor != Cursor::Token("t39".into())) {
        tokio::task::yield_now().await;
    }
    assert_eq!(there(&server), expected(&lines[..40]));
    first.abort();
    drop(first.await);

    let report = follow(&contest, &server, Some(dir.path())).await.unwrap();
    assert_eq!(contest.places(), [None, token(39)]);
    assert_eq!(report.lines, (lines.len() - 40) as u64, "only what was missing, up to the end of updates");
    assert_eq!(there(&server), expected(&lines));
    // The end was reached: there is nothing to ask for.
    let again = follow(&contest, &server, Some(dir.path())).await.unwrap();
    assert_eq!((again.lines, contest.places().len()), (0, 2));
}

#[tokio::test]
async fn a_kept_place_can_be_passed_over_and_a_damaged_one_loses_nothing() {
    let lines = contest(true);
    let contest = ContestServer::start(&lines, &[]).await;
    let dir = tempfile::tempdir().unwrap();
    let server = RecordServer::start().await;
    follow(&contest, &server, Some(dir.path())).await.unwrap();
    let file = resume_file(dir.path(), &contest, &server.client());
    std::fs::write(file.path(), "{\"format\":1,\"feed\":").unwrap();
    let report = follow(&contest, &server, Some(dir.path())).await.unwrap();
    assert_eq!((report.counted, report.lines), (0, lines.len() as u64));
    let source = Source::parse(&contest.url).unwrap();
    let options = ImportOptions { resume: false, ..options(Some(dir.path())) };
    let report = import(&server.client(), &source, &mut clics(), &options, &mut |_| {}).await.unwrap();
    assert_eq!((report.counted, report.lines), (0, lines.len() as u64));
    assert_eq!(contest.places(), [None, None, None]);
    std::fs::write(file.path(), "{\"format\":99}").unwrap();
    let error = follow(&contest, &server, Some(dir.path())).await.unwrap_err();
    assert!(matches!(error.cause, ImportFailure::Resume(_)), "{error}");
}

#[tokio::test]
async fn the_place_is_kept_while_a_feed_tells_without_a_pause() {
    let lines = contest(true);
    let contest = ContestServer::start(&lines, &[]).await;
    let server = RecordServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let options = ImportOptions { save_every: Duration::ZERO, ..options(Some(dir.path())) };
    let source = Source::parse(&contest.url).unwrap();
    let file = resume_file(dir.path(), &contest, &server.client());
    let mut kept = Vec::new();
    import(&server.client(), &source, &mut clics(), &options, &mut |_| {
        let sent = server.taken().records.len();
        kept.push((file.load().unwrap().map(|s| s.cursor), sent));
    })
    .await
    .unwrap();
    let mut importer = clics();
    let needed: Vec<usize> = lines.iter().map(|l| importer.push(l).unwrap().len()).collect();
    let mut places = 0;
    for (cursor, sent) in &kept {
        let Some(Cursor::Token(token)) = cursor else { continue };
        let line: usize = token[1..].parse().unwrap();
        assert!(needed[..=line].iter().sum::<usize>() <= *sent, "{token} kept, {sent} answered");
        places += 1;
    }
    assert!(places > 2, "{kept:?}");
    assert_eq!(there(&server), expected(&lines));
}

#[tokio::test]
async fn the_older_api_is_resumed_by_event_id() {
    let line =
        |n: usize| format!("{{\"type\":\"teams\",\"id\":\"ev{n}\",\"op\":\"create\",\"data\":{{\"id\":\"{n}\"}}}}");
    let mut lines: Vec<String> = (0..6).map(line).collect();
    lines.push("{\"type\":\"state\",\"id\":\"ev9\",\"op\":\"update\",\"data\":{\"end_of_updates\":\"2025-03-02T09:30:00-05\"}}".into());
    let acts = [Act::Tell { overlap: 0, lines: 4, then: Then::Break }];
    let contest = ContestServer::start(&lines, &acts).await;
    let server = RecordServer::start().await;
    follow(&contest, &server, None).await.unwrap();
    assert_eq!(contest.told().requests[1].0["since_id"], "ev3");
    assert_eq!(server.taken().records.len(), 6);
}

#[tokio::test]
async fn what_is_told_is_sent_without_waiting_for_more() {
    let lines = contest(false);
    let contest = ContestServer::start(&lines, &[Act::Tell { overlap: 0, lines: 3, then: Then::Hang }]).await;
    let server = RecordServer::start().await;
    let (source, client) = (Source::parse(&contest.url).unwrap(), server.client());
    let mut patient = options(None);
    patient.live.silence = Duration::from_secs(60);
    let following = tokio::spawn(async move { import(&client, &source, &mut clics(), &patient, &mut |_| {}).await });
    // The contest, three teams, the start.
    server.wait_for_records(5).await;
    assert!(!following.is_finished());
    following.abort();
}

#[tokio::test]
async fn a_password_is_used_and_never_kept_or_shown() {
    let contest = ContestServer::start(&contest(true), &[]).await;
    let server = RecordServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let source = Source::parse(&contest.url.replace("http://", "http://judge:secret@")).unwrap();
    import(&server.client(), &source, &mut clics(), &options(Some(dir.path())), &mut |_| {}).await.unwrap();
    // judge:secret in base 64
    assert_eq!(contest.told().requests[0].1["authorization"], "Basic anVkZ2U6c2VjcmV0");
    let kept = std::fs::read_to_string(resume_file(dir.path(), &contest, &server.client()).path()).unwrap();
    assert!(kept.contains("\"t86\"") && !kept.contains("secret"), "{kept}");
}

#[tokio::test]
async fn a_feed_that_cannot_be_had_says_why() {
    let server = RecordServer::start().await;
    for (act, says) in [
        (Act::Status(401), "USER:PASSWORD"),
        (Act::Status(404), "no such contest"),
        (Act::Status(400), "check the address"),
        (Act::Page, "a web page"),
    ] {
        let contest = ContestServer::start(&[], &[act]).await;
        let error = follow(&contest, &server, None).await.unwrap_err();
        assert!(matches!(error.cause, ImportFailure::Source(SourceError::Refused { .. })), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(contest.places().len(), 1);
    }
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = Source::parse(&format!("http://u:secret@{}/contests/c", gone.local_addr().unwrap())).unwrap();
    drop(gone);
    let error = import(&server.client(), &source, &mut clics(), &options(None), &mut |_| {}).await.unwrap_err();
    assert!(matches!(error.cause, ImportFailure::Source(SourceError::Unreachable { .. })), "{error}");
    assert!(!error.to_string().contains("secret"));
}
