//! What the public gets does not depend on what only the jury has.

use futures::StreamExt;
use gravity_api::serving::{Boards, Window};
use gravity_events::board::{OVERALL, View};
use gravity_events::publish::BoardsEpoch;

use crate::client::{drain, open, stream_query};
use crate::pages::query;
use crate::world::{DIVISIONS, EVENT, Side, epoch_of, options, publish};

/// All that the public can see while the same public epochs go by with other hidden ones between and within.
async fn public_bytes(jury_seed: u64) -> Vec<Vec<u8>> {
    let boards = Boards::new(options());
    let (mut public, mut jury) = (Side::new(View::Public, 1), Side::new(View::Jury, jury_seed));
    let mut seen: Vec<Vec<u8>> = vec![];
    let (mut number, mut streams) = (0, vec![]);
    let mut cursors = vec![];
    for step in 0..60 {
        number += 1 + jury_seed % 3;
        let mut epoch = BoardsEpoch { epoch: number, ..Default::default() };
        public.step(number, Some(64), &mut epoch);
        jury.step(number, Some(64), &mut epoch);
        publish(&boards, epoch);
        if step == 0 {
            for (limit, team) in [(3, None), (100, Some("7"))] {
                streams.push(open(&boards, &stream_query(View::Public, OVERALL, limit, team, None)).await);
            }
        }
        for stream in &mut streams {
            seen.extend(drain(stream).await.into_iter().map(|frame| frame.0.to_vec()));
        }
        for division in DIVISIONS {
            let page = boards.page(&query(View::Public, division, None, Window::From(0), 5)).unwrap();
            seen.extend([page.body.to_vec(), page.etag.into_bytes()]);
            cursors.extend(page.next_cursor.map(|cursor| (division, cursor)));
            for team in ["1", "20"] {
                let answer = boards.team(EVENT, View::Public, division, team);
                seen.push(answer.map_or_else(|e| e.to_string().into_bytes(), |answer| answer.body.to_vec()));
            }
        }
        for (division, cursor) in &cursors {
            let page = boards.page(&query(View::Public, division, None, Window::Cursor(cursor.clone()), 4));
            seen.push(page.map_or_else(|e| e.to_string().into_bytes(), |page| page.body.to_vec()));
        }
        seen.push(serde_json::to_vec(&boards.events()).unwrap());
        // How soon to come back does not tell how many of the jury are watching.
        for (view, streams) in [(View::Jury, jury_seed % 4), (View::Public, 1)] {
            for _ in 0..streams {
                let first =
                    Box::pin(boards.subscribe(&stream_query(view, OVERALL, 1, None, None)).unwrap()).next().await;
                seen.extend(first.filter(|_| view == View::Public).map(|frame| frame.0.to_vec()));
            }
        }
        // Epochs that only the jury notices.
        for _ in 0..jury_seed % 4 {
            number += 1;
            let mut epoch = BoardsEpoch { epoch: number, ..Default::default() };
            jury.step(number, Some(64), &mut epoch);
            publish(&boards, epoch);
            for stream in &mut streams {
                assert!(drain(stream).await.is_empty(), "nothing is sent for what is hidden");
            }
        }
    }
    seen
}

#[tokio::test]
async fn the_public_gets_the_same_bytes_whatever_the_jury_has() {
    let seen = public_bytes(3).await;
    assert!(seen.len() > 1_000);
    for other in [4, 5, 6] {
        assert!(public_bytes(other).await == seen, "jury seed {other} changed what the public sees");
    }
    for bytes in &seen {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("epoch") && !text.contains("hidden") && !text.contains("jury"), "{text}");
    }
}

#[test]
fn an_event_that_only_the_jury_has_is_unknown_to_the_public() {
    let boards = Boards::new(options());
    publish(&boards, epoch_of(1, View::Jury, 1, &[("1", 1)]));
    assert!(boards.events().is_empty());
    assert!(boards.header(EVENT, View::Public).is_none() && boards.header(EVENT, View::Jury).is_some());
    let error = boards.page(&query(View::Public, OVERALL, None, Window::From(0), 1)).unwrap_err();
    assert_eq!(error.to_string(), "there is no event `final`");
}
