//! Pages, teams, whole boards and snapshots equal the model, at every version that is kept.

use gravity_api::serving::{Boards, NAMES_MAX, PageQuery, ServeError, Window};
use gravity_events::Id;
use gravity_events::board::{OVERALL, View};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::world::{DIVISIONS, EVENT, World, epoch_of, gone, options, publish, publish_gated};

pub fn query(view: View, division: &str, at: Option<u64>, window: Window, limit: usize) -> PageQuery {
    PageQuery { event: EVENT.into(), view, division: division.into(), at, window, limit }
}

/// A page's JSON, and where it ends, without the cursor.
fn page(boards: &Boards, query: &PageQuery) -> Result<(Value, Option<String>), ServeError> {
    let page = boards.page(query)?;
    let mut json: Value = serde_json::from_slice(&page.body).unwrap();
    let cursor = json.as_object_mut().unwrap().remove("next_cursor").unwrap();
    assert_eq!(cursor.as_str(), page.next_cursor.as_deref());
    assert_eq!(json["version"], page.version);
    assert!(page.etag.starts_with(&format!("\"{}-", page.version)) && page.etag.ends_with('"'), "{}", page.etag);
    Ok((json, page.next_cursor))
}

/// A reader who follows cursors while the board changes.
struct Reader {
    view: View,
    division: &'static str,
    version: u64,
    cursor: String,
    from: usize,
}

#[test]
fn everything_equals_the_model_at_every_kept_version() {
    for (seed, kept) in [(1, 64), (2, 4), (3, 1), (4, 12)] {
        let mut options = options();
        options.kept_versions = kept;
        // Boards of which a row moves, and boards that are sorted anew.
        options.bulk_rows = if seed % 2 == 0 { 1 } else { usize::MAX };
        let boards = Boards::new(options);
        let mut world = World::new(seed, kept);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut readers: Vec<Reader> = vec![];
        for step in 0..100 {
            let whole = |view| boards.page(&query(view, OVERALL, None, Window::From(0), 500)).map(|page| page.body);
            match rng.random_ratio(1, 12) {
                true => publish(&boards, world.restart(step % 3)),
                false if rng.random_ratio(1, 3) => {
                    let before = [View::Public, View::Jury].map(|view| whole(view).ok());
                    let same = || assert_eq!([View::Public, View::Jury].map(|view| whole(view).ok()), before);
                    publish_gated(&boards, world.step(), &mut rng, same);
                }
                false => publish(&boards, world.step()),
            }
            assert_eq!(boards.epoch(), world.epoch);
            for view in [View::Public, View::Jury] {
                for division in DIVISIONS {
                    check_board(&boards, &world, view, division, &mut rng, &mut readers);
                }
            }
            check_snapshot(&boards, &world);
            readers.retain_mut(|reader| follow(&boards, &world, reader));
        }
    }
}

fn check_board(
    boards: &Boards,
    world: &World,
    view: View,
    division: &'static str,
    rng: &mut StdRng,
    readers: &mut Vec<Reader>,
) {
    let side = world.side(view);
    let model = &side.boards[division];
    let newest = model.version;
    let (from, limit) = (rng.random_range(0..50), rng.random_range(1..50));
    let at = rng.random_range(1..newest + 2);
    let asked = |at| page(boards, &query(view, division, at, Window::From(from), limit));
    let oldest = *model.kept.front().unwrap();
    match asked(Some(at)) {
        Ok((json, _)) => {
            assert!(model.kept.contains(&at));
            assert_eq!(json, side.page(division, at, from, limit));
        }
        Err(ServeError::VersionNotYet { .. }) => assert!(at > newest),
        Err(ServeError::VersionGone { oldest: said, .. }) => {
            assert!(at <= newest && !model.kept.contains(&at));
            assert_eq!(said, oldest);
        }
        Err(other) => panic!("{other}"),
    }
    let (json, cursor) = asked(None).unwrap();
    assert_eq!(json, side.page(division, newest, from, limit));
    if let Some(cursor) = cursor {
        readers.push(Reader { view, division, version: newest, cursor, from: from + limit });
    }
    // The oldest that is kept, whole.
    let (json, cursor) = page(boards, &query(view, division, Some(oldest), Window::From(0), 1_000)).unwrap();
    assert_eq!((json, cursor), (side.page(division, oldest, 0, 1_000), None));

    let team = rng.random_range(1..45).to_string();
    let answer = boards.team(EVENT, view, division, &team);
    let answer = answer.map(|answer| serde_json::from_slice::<Value>(&answer.body).unwrap());
    assert_eq!(answer.ok(), side.team(division, newest, &team), "{team}");

    let (version, _, rows) = boards.rows(EVENT, view, division).unwrap();
    assert_eq!(version, newest);
    let ranked: Vec<(Option<u64>, &str)> = rows.iter().map(|r| (r.rank.map(u64::from), r.row.team.as_str())).collect();
    assert_eq!(ranked, model_ranks(&model.json[&newest]));
}

fn model_ranks(board: &Value) -> Vec<(Option<u64>, &str)> {
    let rows = board["rows"].as_array().unwrap();
    rows.iter().map(|row| (row["rank"].as_u64(), row["team"].as_str().unwrap())).collect()
}

fn check_snapshot(boards: &Boards, world: &World) {
    let snapshot = boards.snapshot();
    assert_eq!(snapshot.epoch, world.epoch);
    assert_eq!(snapshot.events.len(), 2);
    for view in [View::Public, View::Jury] {
        let (event, side) = (snapshot.event(EVENT, view).unwrap(), world.side(view));
        assert_eq!(*event.header.header, *side.header.as_ref().unwrap());
        assert_eq!(event.header.firsts, side.firsts);
        let firsts: Vec<_> = side.firsts.iter().map(|(problem, first)| (problem.clone(), first.clone())).collect();
        assert_eq!(boards.first_solves(EVENT, view), firsts);
        let mut rows: Vec<_> = event.rows().map(|row| (&row.team, &*row.row)).collect();
        rows.sort();
        assert_eq!(rows, side.rows.iter().collect::<Vec<_>>());
        for (division, version) in event.versions() {
            let (shown, ranked) = event.ranked(&division).unwrap();
            let model = &side.boards[division.as_str()];
            assert_eq!((shown, version), (model.version, model.version));
            let ranked: Vec<_> = ranked.iter().map(|r| (r.rank.map(u64::from), r.row.team.as_str())).collect();
            assert_eq!(ranked, model_ranks(&model.json[&version]));
        }
    }
}

/// The next page of a reader, in the version of its first; false at the end, or when that version is gone.
fn follow(boards: &Boards, world: &World, reader: &mut Reader) -> bool {
    let side = world.side(reader.view);
    let asked = query(reader.view, reader.division, None, Window::Cursor(reader.cursor.clone()), 7);
    match page(boards, &asked) {
        Ok((json, cursor)) => {
            assert_eq!(json, side.page(reader.division, reader.version, reader.from, 7));
            reader.from += 7;
            cursor.map(|cursor| reader.cursor = cursor).is_some()
        }
        Err(ServeError::VersionGone { version, .. }) => {
            assert_eq!(version, reader.version);
            assert!(!side.boards[reader.division].kept.contains(&version));
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn equal_rows_share_a_rank_and_the_next_ranks_stay_empty() {
    let boards = Boards::new(options());
    publish(&boards, epoch_of(1, View::Public, 1, &[("10", 2), ("9", 2), ("2", 3), ("1", 1)]));
    let (_, _, rows) = boards.rows(EVENT, View::Public, OVERALL).unwrap();
    let rows: Vec<(Option<u32>, &str)> = rows.iter().map(|r| (r.rank, r.row.team.as_str())).collect();
    // By name among equals: `Team 10` before `Team 9`.
    assert_eq!(rows, [(Some(1), "2"), (Some(2), "10"), (Some(2), "9"), (Some(4), "1")]);
    let page = boards.page(&query(View::Public, OVERALL, None, Window::From(2), 1)).unwrap();
    let json: Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(json["rows"][0]["rank"], 2, "a window that begins within equals");
}

#[test]
fn what_is_not_there_is_said() {
    let boards = Boards::new(options());
    let asked = |event: &str, division: &str, at, window, limit| {
        let query = PageQuery { event: event.into(), view: View::Public, division: division.into(), at, window, limit };
        boards.page(&query).unwrap_err().code()
    };
    assert_eq!(asked(EVENT, OVERALL, None, Window::From(0), 1), "unknown_event");
    assert_eq!(boards.epoch(), 0);
    publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1), ("2", 2)]));
    assert_eq!(asked("else", OVERALL, None, Window::From(0), 1), "unknown_event");
    assert_eq!(asked(EVENT, "d9", None, Window::From(0), 1), "unknown_division");
    assert_eq!(asked(EVENT, OVERALL, Some(2), Window::From(0), 1), "version_not_yet");
    assert_eq!(asked(EVENT, OVERALL, Some(0), Window::From(0), 1), "version_gone");
    assert_eq!(asked(EVENT, OVERALL, None, Window::From(0), 0), "bad_query");
    assert_eq!(asked(EVENT, OVERALL, None, Window::Cursor("AAAA".into()), 1), "bad_cursor");
    assert_eq!(boards.team(EVENT, View::Public, OVERALL, "3").unwrap_err().code(), "unknown_team");
    assert_eq!(boards.rows(EVENT, View::Jury, OVERALL).unwrap_err().code(), "unknown_event");
    let far = boards.page(&query(View::Public, OVERALL, None, Window::From(usize::MAX), 1_000_000)).unwrap();
    assert_eq!((far.version, far.next_cursor), (1, None));
    assert_eq!(boards.events().iter().map(|e| e.event.as_str()).collect::<Vec<_>>(), [EVENT]);

    publish(&boards, gone(2, View::Public, &["1", "2"]));
    assert_eq!(asked(EVENT, OVERALL, None, Window::From(0), 1), "unknown_event");
    assert!(boards.events().is_empty() && boards.snapshot().events.is_empty());
}

#[test]
fn a_cursor_serves_only_its_own_board() {
    let boards = Boards::new(options());
    let mut world = World::new(5, 64);
    for _ in 0..20 {
        publish(&boards, world.step());
    }
    let first = boards.page(&query(View::Jury, OVERALL, None, Window::From(0), 2)).unwrap();
    let cursor = Window::Cursor(first.next_cursor.unwrap());
    assert!(boards.page(&query(View::Jury, OVERALL, None, cursor.clone(), 2)).is_ok());
    for (view, division) in [(View::Public, OVERALL), (View::Jury, "d1")] {
        let error = boards.page(&query(view, division, None, cursor.clone(), 2)).unwrap_err();
        assert_eq!(error.code(), "bad_cursor");
    }
    let mut other_key = options();
    other_key.key = [1; 32];
    let elsewhere = Boards::new(other_key);
    publish(&elsewhere, world.restart(0));
    let error = elsewhere.page(&query(View::Jury, OVERALL, None, cursor, 2)).unwrap_err();
    assert_eq!(error.code(), "bad_cursor");
}

#[test]
fn epochs_do_not_repeat_and_carry_bounds_and_orphans() {
    use gravity_events::Topic;
    let boards = Boards::new(options());
    let mut epoch = epoch_of(5, View::Public, 1, &[("1", 1)]);
    epoch.bound = vec![(Topic::Submissions, 2, 17)];
    epoch.orphans = vec![(Id::from("acme"), EVENT.into(), 3), (Id::from("acme"), "finals".into(), 5)];
    let mut epochs = boards.epochs();
    publish(&boards, epoch);
    assert_eq!(*epochs.borrow_and_update(), 5);
    assert_eq!((boards.bound(Topic::Submissions, 2), boards.bound(Topic::Submissions, 1)), (17, 0));
    assert_eq!((boards.orphans(EVENT), boards.orphans("finals"), boards.orphans("fin")), (3, 5, 0));
    publish(&boards, epoch_of(5, View::Public, 2, &[("1", 9)]));
    let (version, _, rows) = boards.rows(EVENT, View::Public, OVERALL).unwrap();
    assert_eq!((version, rows[0].row.row.solved), (1, 1), "the same epoch again does nothing");
    let mut next = epoch_of(6, View::Public, 2, &[]);
    next.orphans = vec![(Id::from("acme"), EVENT.into(), 0)];
    publish(&boards, next);
    assert_eq!((boards.orphans(EVENT), boards.bound(Topic::Submissions, 2)), (0, 17));
    assert_eq!(boards.snapshot().bound, [(Topic::Submissions, 2, 17)]);
}

#[test]
fn a_page_is_encoded_once() {
    let boards = Boards::new(options());
    publish(&boards, epoch_of(1, View::Public, 1, &[("1", 1), ("2", 2)]));
    let asked = |limit| boards.page(&query(View::Public, OVERALL, None, Window::From(0), limit)).unwrap();
    assert_eq!(asked(2).body.as_ptr(), asked(2).body.as_ptr());
    assert_ne!(asked(2).etag, asked(1).etag);
    publish(&boards, epoch_of(2, View::Public, 2, &[("1", 3)]));
    let old = boards.page(&query(View::Public, OVERALL, Some(1), Window::From(0), 2)).unwrap();
    assert_ne!(old.body, asked(2).body);
}

#[test]
fn names_are_those_of_the_rows_and_bounded() {
    let boards = Boards::new(options());
    let mut world = World::new(9, 64);
    for _ in 0..30 {
        publish(&boards, world.step());
        for (view, division) in [(View::Public, OVERALL), (View::Jury, OVERALL), (View::Public, "d1")] {
            let ask = |from, limit| {
                let names = boards.names(&query(view, division, None, Window::From(from), limit)).unwrap();
                (serde_json::from_slice::<Value>(&names.body).unwrap(), names.etag)
            };
            let whole = page(&boards, &query(view, division, None, Window::From(0), 1_000)).unwrap().0;
            let rows = whole["rows"].as_array().unwrap();
            let name = |row: &Value| -> Value {
                let kept = row
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(k, _)| ["team", "name", "organization"].contains(&k.as_str()));
                Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect())
            };
            for (from, limit) in [(0, usize::MAX), (0, 3), (2, 4), (1_000, 5)] {
                let (names, etag) = ask(from, limit);
                let expected: Vec<Value> = rows.iter().skip(from).take(limit).map(name).collect();
                assert_eq!(names["rows"].as_array().unwrap(), &expected);
                assert_eq!((&names["version"], &names["from"]), (&whole["version"], &Value::from(from)));
                assert_eq!(names["total_rows"], whole["total_rows"]);
                assert_ne!(etag, boards.page(&query(view, division, None, Window::From(from), limit)).unwrap().etag);
            }
            assert!(boards.names(&query(view, division, None, Window::From(0), 0)).is_err());
        }
    }
    let many: Vec<String> = (0..NAMES_MAX + 10).map(|n| n.to_string()).collect();
    let teams: Vec<(&str, u32)> = many.iter().map(|n| (n.as_str(), 1)).collect();
    let boards = Boards::new(options());
    publish(&boards, epoch_of(1, View::Public, 1, &teams));
    let names = boards.names(&query(View::Public, OVERALL, None, Window::From(0), usize::MAX)).unwrap();
    let names: Value = serde_json::from_slice(&names.body).unwrap();
    assert_eq!(names["rows"].as_array().unwrap().len(), NAMES_MAX);
}

#[test]
fn an_answer_of_the_whole_board_is_made_once_per_version() {
    let boards = Boards::new(options());
    let mut made = 0;
    for version in 1..=5 {
        publish(&boards, epoch_of(version, View::Public, version, &[("1", version as u32), ("2", 1)]));
        let mut tags = std::collections::BTreeSet::new();
        for _ in 0..100 {
            for name in ["a", "b"] {
                let (body, tag) = boards
                    .whole(EVENT, View::Public, OVERALL, name, |head, rows| {
                        made += 1;
                        format!("{name} {} {:?}", head.event, rows.iter().map(|r| r.row.row.solved).collect::<Vec<_>>())
                            .into()
                    })
                    .unwrap();
                assert_eq!(body, format!("{name} {EVENT} [{version}, 1]"));
                tags.insert(tag);
            }
        }
        assert_eq!((made, tags.len()), (version * 2, 2));
    }
    assert_eq!(boards.encoded(View::Public), 10);
    assert!(boards.whole("other", View::Public, OVERALL, "a", |_, _| vec![]).is_err());
    assert!(boards.whole(EVENT, View::Jury, OVERALL, "a", |_, _| vec![]).is_err());
    // The same content in another version has the same tag.
    let tag = |boards: &Boards| boards.whole(EVENT, View::Public, OVERALL, "c", |_, _| b"same".to_vec()).unwrap().1;
    let before = tag(&boards);
    publish(&boards, epoch_of(6, View::Public, 6, &[("1", 9)]));
    assert_eq!(tag(&boards), before);
}
