//! No bit of a hidden verdict is in anything that the public can see.
//!
//! Real servers are fed with the same contest but for hidden verdicts: those of submissions in the freeze, and those of
//! hidden teams. All that somebody without a token can get must be the same in every byte: pages, headers, sizes,
//! versions, errors, and the frames of streams.

#[path = "non_interference/observer.rs"]
mod observer;
#[path = "non_interference/script.rs"]
mod script;
mod support;

use observer::{Frame, Observer, Seen, Stream};
use script::{EVENT, TEAMS, Verdicts, cuts, reference, thawed};
use serde_json::Value;
use support::Server;

/// What one run showed.
struct Run {
    /// To the public until the thaw.
    veiled: Seen,
    /// What the streams sent until the thaw.
    frames: Vec<Vec<Frame>>,
    /// To the public after it.
    thawed: Seen,
    /// The public board after it.
    thawed_rows: Value,
    /// To the jury just before it.
    jury_rows: Value,
    epochs: u64,
}

async fn run(verdicts: Verdicts) -> Run {
    let dir = tempfile::tempdir().expect("a folder");
    // The same secrets everywhere, so that cursors and tags can be compared.
    for name in ["admin.token", "cursor.key"] {
        std::fs::write(dir.path().join(name), "5ec2e7".repeat(11)).expect("a file");
    }
    let mut server = Server::start(dir.path(), &[("GRAVITY_LOG__PARTITIONS", "1")]).await;
    let observer = Observer::new(&server.url, EVENT, TEAMS);
    let send = async |server: &Server, cut: &[Vec<u8>]| {
        let statuses = server.send(cut, true).await;
        assert!(statuses.iter().all(|s| s == "counted"), "{statuses:?}");
    };
    send(&server, &reference()).await;
    let base = format!("/api/v1/events/{EVENT}/board");
    let division = "division=even&limit=1000";
    let mut streams = Vec::new();
    for query in ["limit=1000", "limit=3&team=t3", "limit=3&team=t4", division] {
        streams.push(Stream::open(&server.url, &format!("{base}/stream?{query}")).await);
    }
    let mut veiled = Seen::new();
    for (n, cut) in cuts(verdicts).iter().enumerate() {
        if !cut.is_empty() {
            send(&server, cut).await;
        }
        // Streams may skip versions for those who are slow; these never are.
        let overall = server.get_json(&base).await["version"].as_u64().expect("a version");
        let even = server.get_json(&format!("{base}?{division}")).await["version"].as_u64().expect("a version");
        for (i, stream) in streams.iter().enumerate() {
            stream.until_version(if i == 3 { even } else { overall }).await;
        }
        let submissions = cut.iter().any(|r| std::str::from_utf8(r).expect("text").contains("submission.received"));
        if submissions && n % 40 < 2 {
            // Named by what all runs share: how many submissions there have been.
            let last = String::from_utf8_lossy(&cut[cut.len() - 1]).into_owned();
            observer.look(&mut veiled, &format!("after {}", &last[..last.len().min(60)])).await;
        }
    }
    observer.look(&mut veiled, "at the end").await;
    let mut frames = Vec::new();
    for stream in &streams {
        frames.push(stream.frames().await);
    }
    drop(streams);
    assert_eq!(server.terminate(), Some(0), "a clean stop");
    server.spawn_again(&[]);
    server.wait_ready().await;
    observer.look(&mut veiled, "after a restart").await;
    let jury = server.get_json(&format!("{base}?view=jury&limit=1000")).await;
    send(&server, &[thawed()]).await;
    let mut thawed = Seen::new();
    observer.look(&mut thawed, "after the thaw").await;
    let page = server.get_json(&format!("{base}?limit=1000")).await;
    server.ok(&["verify"]);
    assert_eq!(server.terminate(), Some(0), "a clean stop");
    let epochs = jury["epoch"].as_u64().unwrap_or_default();
    Run { veiled, frames, thawed, thawed_rows: page["rows"].clone(), jury_rows: jury["rows"].clone(), epochs }
}

fn same(what: &str, a: &Seen, b: &Seen) {
    for (question, answer) in a {
        assert_eq!(Some(answer), b.get(question), "{what}: {question}");
    }
    let more: Vec<_> = b.keys().filter(|question| !a.contains_key(*question)).collect();
    assert!(more.is_empty(), "{what}: only here it could be asked: {more:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_public_byte_depends_on_a_hidden_verdict() {
    let truth = run(Verdicts::AsTheyAre).await;
    let texts = || truth.veiled.values().map(String::as_str);
    let frames: usize = truth.frames.iter().map(Vec::len).sum();
    let statuses: std::collections::BTreeSet<&str> =
        texts().filter_map(|t| t.split('\n').next()).filter(|s| s.len() == 3).collect();
    eprintln!("{} answers ({statuses:?}), {frames} frames", truth.veiled.len());
    // It looks at something: there are answers of all kinds, and a freeze.
    for status in ["200", "304", "401", "404", "410"] {
        assert!(statuses.contains(status), "no answer was a {status}");
    }
    assert!(frames > 100, "{frames} frames");
    for verdicts in [Verdicts::Flipped, Verdicts::FlippedOfHiddenTeams, Verdicts::OfAnotherEvent, Verdicts::LeftOut] {
        let other = run(verdicts).await;
        let what = format!("{verdicts:?}");
        same(&what, &truth.veiled, &other.veiled);
        for (i, (a, b)) in truth.frames.iter().zip(&other.frames).enumerate() {
            for (a, b) in a.iter().zip(b) {
                assert_eq!(a, b, "{what}: a frame of stream {i}");
            }
            assert_eq!(a.len(), b.len(), "{what}: stream {i} has other frames");
        }
        // The verdicts did differ, and the jury saw it.
        assert_ne!(truth.jury_rows, other.jury_rows, "{what}: the jury sees no difference");
        if verdicts == Verdicts::LeftOut {
            assert!(other.epochs < truth.epochs, "epochs with hidden verdicts alone are there, and do not show");
        } else {
            assert_eq!(other.epochs, truth.epochs, "{what}: the cuts were not the same");
        }
        // After the thaw the public sees it too, but for hidden teams.
        if verdicts == Verdicts::FlippedOfHiddenTeams {
            same(&format!("{what}, thawed"), &truth.thawed, &other.thawed);
        } else {
            assert_ne!(truth.thawed_rows, other.thawed_rows, "{what}: the thaw shows no difference");
        }
    }
}
