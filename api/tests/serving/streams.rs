//! Streams: a client has, after each id, what that version's page shows; whatever it missed.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use gravity_api::serving::{Boards, ServeError};
use gravity_events::board::{OVERALL, View};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::client::{Client, Frames, drain, open, parse, stream_query};
use crate::world::{DIVISIONS, EVENT, World, epoch_of, gone, options, publish};

fn without_version(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().retain(|key, _| key != "version" && key != "epoch");
    answer
}

#[tokio::test]
async fn clients_that_lag_and_reconnect_equal_the_pages_of_every_version() {
    let (mut snapshots, mut deltas) = (0, 0);
    for seed in 0..3 {
        let kept = if seed % 2 == 0 { 64 } else { 3 };
        let mut options = options();
        options.kept_versions = kept;
        let boards = Boards::new(options);
        let mut world = World::new(seed, kept);
        let mut rng = StdRng::seed_from_u64(seed);
        publish(&boards, world.step());
        let mut clients: Vec<(Client, Option<Frames>)> = (0..18)
            .map(|n| {
                let view = [View::Public, View::Jury][n % 2];
                let team = (n % 4 == 0).then(|| (n + 1).to_string());
                let query = stream_query(view, DIVISIONS[n % 3], 1 + n * 2, team.as_deref(), None);
                (Client::new(query), None)
            })
            .collect();
        for step in 0..110 {
            for (client, frames) in &mut clients {
                match rng.random_range(0..10) {
                    // Drops the connection, and comes back with what it has, now or later.
                    0 => *frames = None,
                    1..=6 => {
                        if frames.is_none() {
                            client.query.last_version = client.version();
                            *frames = Some(open(&boards, &client.query).await);
                        }
                        for frame in drain(frames.as_mut().unwrap()).await {
                            client.take(&frame, &world);
                        }
                        check_newest(client, &world);
                    }
                    _ => {}
                }
            }
            let epoch = match rng.random_ratio(1, 15) {
                true => world.restart(step % 3),
                false => world.step(),
            };
            publish(&boards, epoch);
        }
        snapshots += clients.iter().map(|(client, _)| client.snapshots).sum::<usize>();
        deltas += clients.iter().map(|(client, _)| client.deltas).sum::<usize>();
        assert_eq!(boards.subscribers(), clients.iter().filter(|(_, frames)| frames.is_some()).count());
        clients.clear();
        assert_eq!(boards.subscribers(), 0);
    }
    assert!(snapshots > 54 && deltas > 1_000, "{snapshots} snapshots, {deltas} deltas");
}

fn check_newest(client: &Client, world: &World) {
    let (side, query) = (world.side(client.query.view), &client.query);
    let newest = side.boards[query.division.as_str()].version;
    assert_eq!(client.version(), Some(newest));
    let Some(team) = &query.team else { return };
    let you = without_version(client.you.clone().unwrap());
    match side.team(&query.division, newest, team) {
        Some(expected) => assert_eq!(you, without_version(expected)),
        None => assert_eq!((&you["row"], &you["position"]), (&Value::Null, &Value::Null)),
    }
}

#[tokio::test]
async fn a_frame_is_encoded_once_for_all() {
    let boards = Boards::new(options());
    publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1), ("2", 2)]));
    let query = stream_query(View::Public, OVERALL, 10, Some("1"), None);
    let (mut a, mut b) = (open(&boards, &query).await, open(&boards, &query).await);
    for (version, events) in [(1, ["snapshot", "you"]), (2, ["delta", "you"]), (3, ["delta", "you"])] {
        if version > 1 {
            publish(&boards, epoch_of(version, View::Public, version, &[("1", version as u32 + 3)]));
        }
        let (a, b) = (drain(&mut a).await, drain(&mut b).await);
        assert_eq!(a.iter().map(|frame| parse(frame).0).collect::<Vec<_>>(), events);
        assert!(a.iter().zip(&b).all(|(a, b)| a.0.as_ptr() == b.0.as_ptr()) && a.len() == b.len());
    }
}

#[tokio::test]
async fn thousands_of_subscribers_share_every_frame() {
    let boards = Boards::new(options());
    publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1), ("2", 2)]));
    let query = stream_query(View::Public, OVERALL, 10, None, None);
    let mut all = vec![];
    for _ in 0..3_000 {
        all.push(open(&boards, &query).await);
    }
    assert_eq!(boards.subscribers(), 3_000);
    for version in 1..4 {
        if version > 1 {
            publish(&boards, epoch_of(version, View::Public, version, &[("1", version as u32 + 3)]));
        }
        let mut shared = None;
        for frames in &mut all {
            let frame = frames.next().await.unwrap().0;
            assert_eq!(*shared.get_or_insert(frame.as_ptr()), frame.as_ptr());
        }
    }
    drop(all);
    assert_eq!(boards.subscribers(), 0);
}

#[tokio::test]
async fn a_slow_subscriber_gets_one_frame_from_what_it_has() {
    let mut options = options();
    options.kept_versions = 8;
    let boards = Boards::new(options);
    publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1), ("2", 2)]));
    let mut slow = open(&boards, &stream_query(View::Public, OVERALL, 10, None, None)).await;
    assert_eq!(drain(&mut slow).await.len(), 1);
    for version in 2..=8 {
        publish(&boards, epoch_of(version, View::Public, version, &[("1", version as u32)]));
    }
    let frames = drain(&mut slow).await;
    let (event, id, data) = parse(&frames[0]);
    assert_eq!((frames.len(), event.as_str(), id, &data["base"]), (1, "delta", 8, &1.into()));
    for version in 9..=16 {
        publish(&boards, epoch_of(version, View::Public, version, &[("1", version as u32)]));
    }
    let frames = drain(&mut slow).await;
    assert_eq!((frames.len(), parse(&frames[0]).0.as_str()), (1, "snapshot"), "what it has is no longer kept");
}

#[tokio::test]
async fn a_client_that_has_the_newest_is_sent_nothing_but_its_team() {
    let boards = Boards::new(options());
    publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1)]));
    let mut frames = open(&boards, &stream_query(View::Public, OVERALL, 10, None, Some(1))).await;
    assert!(drain(&mut frames).await.is_empty());
    let mut frames = open(&boards, &stream_query(View::Public, OVERALL, 10, Some("1"), Some(1))).await;
    let got = drain(&mut frames).await;
    assert_eq!((got.len(), parse(&got[0]).0.as_str()), (1, "you"));
    // A change elsewhere on the board that leaves the team's answer alone.
    let many: Vec<String> = (2..20).map(|n| n.to_string()).collect();
    let many: Vec<(&str, u32)> = many.iter().map(|team| (team.as_str(), 0)).collect();
    publish(&boards, epoch_of(2, View::Public, 2, &many));
    assert_eq!(drain(&mut frames).await.len(), 2);
    publish(&boards, epoch_of(3, View::Public, 3, &[("9", 0), ("far", 0)]));
    let got = drain(&mut frames).await;
    assert_eq!(got.iter().map(|frame| parse(frame).0).collect::<Vec<_>>(), ["delta"]);
    // A version from before a loss of data, that was never shown since.
    let mut frames = open(&boards, &stream_query(View::Public, OVERALL, 10, None, Some(99))).await;
    assert_eq!(parse(&drain(&mut frames).await[0]).0, "snapshot");
}

#[tokio::test]
async fn a_board_that_goes_back_is_sent_whole() {
    let boards = Boards::new(options());
    for version in 1..=5 {
        publish(&boards, epoch_of(version, View::Public, version, &[("1", version as u32)]));
    }
    let mut frames = open(&boards, &stream_query(View::Public, OVERALL, 10, None, None)).await;
    drain(&mut frames).await;
    let mut restored = epoch_of(2, View::Public, 1, &[("7", 7)]);
    restored.snapshot = true;
    publish(&boards, restored);
    let got = drain(&mut frames).await;
    let (event, id, data) = parse(&got[0]);
    assert_eq!((event.as_str(), id, &data["rows"][0]["team"]), ("snapshot", 1, &"7".into()));
    for version in 2..=5 {
        publish(&boards, epoch_of(1 + version, View::Public, version, &[("7", 70 + version as u32)]));
    }
    let (_, id, data) = parse(&drain(&mut frames).await[0]);
    assert_eq!((id, &data["base"]), (5, &1.into()));
}

#[tokio::test]
async fn streams_end_with_their_board_and_with_the_server() {
    let boards = Boards::new(options());
    let query = stream_query(View::Public, OVERALL, 10, None, None);
    assert!(matches!(boards.subscribe(&query).err(), Some(ServeError::UnknownEvent { .. })));
    publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1)]));
    let mut frames = open(&boards, &query).await;
    drain(&mut frames).await;
    publish(&boards, gone(2, View::Public, &["1"]));
    assert_eq!(frames.next().await, None);

    publish(&boards, epoch_of(3, View::Public, 1, &[("1", 1)]));
    let mut frames = open(&boards, &query).await;
    drain(&mut frames).await;
    assert!(frames.next().now_or_never().is_none());
    let reader = tokio::spawn(async move { frames.next().await });
    tokio::task::yield_now().await;
    boards.close();
    assert_eq!(reader.await.unwrap(), None);
    let mut late = open(&boards, &query).await;
    assert_eq!(late.next().await, None);
    assert!(boards.team(EVENT, View::Public, OVERALL, "1").is_ok(), "pages are still answered");
}

#[tokio::test]
async fn heartbeats_come_whatever_the_board_does() {
    let mut options = options();
    options.heartbeat = Duration::from_millis(2);
    options.max_subscribers = 1;
    let boards = Boards::new(options);
    publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1)]));
    let query = stream_query(View::Public, OVERALL, 10, None, None);
    let mut frames = open(&boards, &query).await;
    assert!(matches!(boards.subscribe(&query).err(), Some(ServeError::TooManySubscribers { open: 1 })));
    let (mut heartbeats, mut version) = (0, 1);
    while heartbeats < 3 {
        // The board has news each time that the stream is asked, and would always go first.
        version += 1;
        publish(&boards, epoch_of(version, View::Public, version, &[("1", version as u32)]));
        heartbeats += usize::from(frames.next().await.unwrap().0 == ": hb\n\n");
    }
    while frames.next().await.unwrap().0 != ": hb\n\n" {}
    assert_eq!(frames.next().await.unwrap().0, ": hb\n\n", "and on a board that rests");
    drop(frames);
    assert!(boards.subscribe(&query).is_ok());
}
