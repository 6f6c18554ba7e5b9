use gravity_events::codec;
use proptest::prelude::*;

use super::*;

const FILE: &str = r##"
[event]
id = "spring"
tenant = "uni"
name = "Spring Contest"
start_at = 2026-03-14T09:00:00+01:00
duration = "5h"
freeze = "1:00:00"
penalty = "20m"
main_group = "all"

[[group]]
id = "all"

[[organization]]
id = "u1"
name = "U One"
country = "DEU"

[[problem]]
id = "p1"
label = "A"
name = "Apples"
rgb = "#ff0000"

[[problem]]
id = "p2"

[[team]]
id = "t1"
name = "First"
organization = "u1"
groups = ["all"]

[[team]]
id = "t2"
name = "Second"
hidden = true
"##;

#[test]
fn a_file_becomes_records_that_the_codec_takes() {
    let file = EventFile::from_toml(FILE).unwrap();
    let records = file.to_records();
    let kinds: Vec<&str> = records.iter().map(|r| r.body.kind()).collect();
    assert_eq!(kinds[0], "event.configured");
    assert_eq!(kinds.iter().filter(|k| **k == "judgement_type.published").count(), VERDICTS.len());
    let Body::EventConfigured(e) = &records[0].body else { panic!() };
    assert_eq!(
        (e.start_at, e.duration_ms, e.freeze_duration_ms, e.penalty_ms),
        (Some(1_773_475_200_000), Some(18_000_000), Some(3_600_000), Some(1_200_000))
    );
    let problems: Vec<(&str, i64)> =
        records
            .iter()
            .filter_map(|r| {
                if let Body::ProblemPublished(p) = &r.body { Some((p.label.as_str(), p.ordinal)) } else { None }
            })
            .collect();
    assert_eq!(problems, [("A", 0), ("p2", 1)]);
    for r in &records {
        assert_eq!(codec::decode(&codec::encode(r)).unwrap(), *r);
        assert_eq!((r.tenant.as_str(), r.event.as_deref()), ("uni", Some("spring")));
    }
}

#[test]
fn ids_follow_content() {
    let ids = |text: &str| -> Vec<Id> {
        EventFile::from_toml(text).unwrap().to_records().into_iter().map(|r| r.id).collect()
    };
    let first = ids(FILE);
    assert_eq!(first, ids(FILE));
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len());
    let renamed = ids(&FILE.replace("\"First\"", "\"Premier\""));
    assert_eq!(first.iter().zip(&renamed).filter(|(a, b)| a != b).count(), 1);
    let raised = ids(&FILE.replace("tenant = \"uni\"", "tenant = \"uni\"\nrevision = 1"));
    assert!(first.iter().zip(&raised).all(|(a, b)| a != b));
}

#[test]
fn toml_and_json_say_the_same() {
    let json = serde_json::json!({
        "event": {"id": "spring", "tenant": "uni", "name": "Spring Contest", "start_at": "2026-03-14T08:00:00Z",
            "duration": 18_000_000, "freeze": "60m", "penalty": 1_200_000, "main_group": "all"},
        "group": [{"id": "all"}],
        "organization": [{"id": "u1", "name": "U One", "country": "DEU"}],
        "problem": [{"id": "p1", "label": "A", "name": "Apples", "rgb": "#ff0000"}, {"id": "p2"}],
        "team": [{"id": "t1", "name": "First", "organization": "u1", "groups": ["all"]}, {"id": "t2", "name": "Second", "hidden": true}],
    });
    let json = EventFile::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(json.to_records(), EventFile::from_toml(FILE).unwrap().to_records());
}

#[test]
fn every_error_names_its_field() {
    for (from, to, field, says) in [
        ("name = \"Spring Contest\"", "nmae = \"x\"", "event.nmae", "did you mean `name`"),
        ("name = \"Spring Contest\"", "", "event.name", "missing"),
        ("duration = \"5h\"", "duration = \"5hours\"", "event.duration", "5h"),
        ("duration = \"5h\"", "duration = \"30m\"", "event.freeze", "longer"),
        ("duration = \"5h\"", "", "event.freeze", "missing"),
        ("penalty = \"20m\"", "penalty = 20", "event.penalty", "20m"),
        ("start_at = 2026-03-14T09:00:00+01:00", "start_at = \"soon\"", "event.start_at", "RFC 3339"),
        ("start_at = 2026-03-14T09:00:00+01:00", "start_at = 2026-03-14", "event.start_at", "RFC 3339"),
        ("main_group = \"all\"", "main_group = \"al\"", "event.main_group", "does not have"),
        ("groups = [\"all\"]", "groups = [\"none\"]", "team[0].groups", "does not have"),
        ("organization = \"u1\"", "organization = \"u2\"", "team[0].organization", "does not have"),
        ("id = \"p2\"", "id = \"p1\"", "problem[1].id", "twice"),
        ("id = \"t2\"", "id = \"\"", "team[1].id", "empty"),
        ("id = \"spring\"", "id = \"\"", "event.id", "empty"),
        ("tenant = \"uni\"", "tenant = \"\"", "event.tenant", "empty"),
        ("rgb = \"#ff0000\"", "rgb = \"red\"", "problem[0].rgb", "#"),
        ("[[team]]\nid = \"t2\"", "[[taem]]\nid = \"t2\"", "taem", "`team`"),
    ] {
        assert!(FILE.contains(from), "{from}");
        match EventFile::from_toml(&FILE.replace(from, to)) {
            Err(EventFileError::Field(m)) => {
                assert_eq!(m.field, field, "{to}: {m:?}");
                assert!(m.message.contains(says), "{to}: {m:?}");
            }
            other => panic!("{to}: {other:?}"),
        }
    }
    for text in ["[event", "event = 1 2", "\u{0}"] {
        assert!(matches!(EventFile::from_toml(text), Err(EventFileError::Syntax(_))), "{text}");
    }
    for text in ["", "{", "{} {}"] {
        assert!(EventFile::from_json(text.as_bytes()).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in ".{0,200}", at in 0..FILE.len(), insert in ".{0,8}") {
        let _ = EventFile::from_toml(&text);
        let _ = EventFile::from_json(text.as_bytes());
        let at = (0..=at).rev().find(|i| FILE.is_char_boundary(*i)).unwrap_or(0);
        let _ = EventFile::from_toml(&format!("{}{insert}{}", &FILE[..at], &FILE[at..]));
    }
}
