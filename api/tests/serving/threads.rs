//! Readers on other threads see whole epochs, in order, while the writer goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use gravity_api::serving::{Boards, Window};
use gravity_events::board::{OVERALL, View};
use serde_json::Value;

use crate::pages::query;
use crate::world::{EVENT, epoch_of, options, publish};

const EPOCHS: u64 = 400;

/// In epoch n every team has solved n, and public and jury are at version n.
fn epoch(n: u64) -> gravity_events::publish::BoardsEpoch {
    let teams: Vec<(String, u32)> = (0..40).map(|team| (team.to_string(), n as u32)).collect();
    let teams: Vec<(&str, u32)> = teams.iter().map(|(team, solved)| (team.as_str(), *solved)).collect();
    let mut epoch = epoch_of(n, View::Public, n, &teams);
    let jury = epoch_of(n, View::Jury, n, &teams);
    epoch.changes.extend(jury.changes);
    epoch.versions.extend(jury.versions);
    epoch
}

#[test]
fn readers_see_whole_epochs_in_order() {
    let boards = Boards::new(options());
    publish(&boards, epoch(1));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read_pages = || {
            let (mut last, mut reads) = (0, 0);
            while !done.load(Ordering::SeqCst) || reads == 0 {
                let page = boards.page(&query(View::Public, OVERALL, None, Window::From(0), 40)).unwrap();
                let json: Value = serde_json::from_slice(&page.body).unwrap();
                let rows = json["rows"].as_array().unwrap();
                assert_eq!(rows.len(), 40);
                assert!(rows.iter().all(|row| row["score"] == page.version && row["rank"] == 1));
                assert!(page.version >= last);
                (last, reads) = (page.version, reads + 1);
            }
        };
        let read_snapshots = || {
            let mut reads = 0;
            while !done.load(Ordering::SeqCst) || reads == 0 {
                let snapshot = boards.snapshot();
                for view in [View::Public, View::Jury] {
                    let (version, rows) = snapshot.event(EVENT, view).unwrap().ranked(OVERALL).unwrap();
                    assert_eq!(version, snapshot.epoch);
                    assert!(rows.iter().all(|ranked| u64::from(ranked.row.row.solved) == version));
                }
                reads += 1;
            }
        };
        let follow = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let query = crate::client::stream_query(View::Jury, OVERALL, 40, Some("3"), None);
                let mut frames = crate::client::open(&boards, &query).await;
                let mut last = 0;
                while last < EPOCHS {
                    let frame = futures::StreamExt::next(&mut frames).await.unwrap();
                    let (event, id, data) = crate::client::parse(&frame);
                    assert!(id > last || (id == last && event == "you"));
                    if event == "delta" {
                        assert_eq!(data["base"], last);
                        assert!(data["rows"].as_array().unwrap().iter().all(|row| row["score"] == id));
                    }
                    last = id;
                }
            });
        };
        scope.spawn(read_pages);
        scope.spawn(read_snapshots);
        scope.spawn(follow);
        scope.spawn(follow);
        for n in 2..=EPOCHS {
            publish(&boards, epoch(n));
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(boards.epoch(), EPOCHS);
}
