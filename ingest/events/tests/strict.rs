//! What is refused, with which words; what is ignored; where the limits are.

use gravity_events::codec::*;
use gravity_events::{Body, DecodeError, Topic};

const GOOD: &str = r#"{"specversion":"1.0","id":"1","source":"s","type":"submission.received","tenant":"acme","event":"e","time":"2026-03-14T08:00:00Z","data":{"submission":"s1","team":"t1","problem":"p1"}}"#;

/// The good record with one piece of its text replaced.
fn with(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    GOOD.replace(from, to)
}

/// The error that all ways of decoding agree on.
fn refused(json: impl AsRef<[u8]>) -> DecodeError {
    let json = json.as_ref();
    let error = decode(json).expect_err(&String::from_utf8_lossy(json));
    assert_eq!(decode_full(json).expect_err("refused"), error);
    error
}

fn said(from: &str, to: &str) -> String {
    refused(with(from, to)).to_string()
}

#[test]
fn attributes_are_checked() {
    for (from, to, message) in [
        (r#""specversion":"1.0","#, "", "`specversion` is missing"),
        (r#""1.0""#, r#""0.3""#, "`specversion` is \"0.3\", expected \"1.0\""),
        (r#""1.0""#, "1.0", "`specversion` is a number, expected a string"),
        (r#""id":"1","#, "", "`id` is missing"),
        (r#""id":"1""#, r#""id":null"#, "`id` is missing"),
        (r#""id":"1""#, r#""id":"""#, "`id` is empty"),
        (r#""id":"1""#, r#""id":1"#, "`id` is a number, expected a string"),
        (r#""id":"1""#, r#""id":{"a":1}"#, "`id` is an object, expected a string"),
        (r#""id":"1""#, r#""id":"a\u0007""#, "`id` has control characters"),
        (r#""id":"1","#, r#""id":"1","id":"1","#, "`id` is given twice"),
        (r#""id":"1","#, r#""id":"1","\u0069d":null,"#, "`id` is given twice"),
        (r#""id":"1","#, r#""id":"1","x":1,"x":1,"#, "`x` is given twice"),
        (r#""source":"s","#, "", "`source` is missing"),
        (r#""type":"submission.received","#, "", "`type` is missing"),
        (r#""tenant":"acme","#, "", "`tenant` is missing"),
        (r#""event":"e","#, "", "`event` is missing"),
        (r#""event":"e","#, r#""event":"e","subject":"","#, "`subject` is empty"),
        (
            "submission.received",
            "submission.recieved",
            "`type` is `submission.recieved`, which is not a record type; did you mean `submission.received`?",
        ),
        ("submission.received", "com.github.push", "`type` is `com.github.push`, which is not a record type"),
        (
            "2026-03-14T08:00:00Z",
            "yesterday",
            "`time` is `yesterday`, which is not an RFC 3339 time such as 2026-03-14T08:00:00.000Z",
        ),
        ("2026-03-14", "2026-02-29", "`time` is `2026-02-29T08:00:00Z`, which is not a day of the calendar"),
        ("2026-03-14", "1969-03-14", "`time` is `1969-03-14T08:00:00.000Z`, expected a time in the years 1970 to 2100"),
        ("2026-03-14", "2101-01-01", "`time` is `2101-01-01T08:00:00.000Z`, expected a time in the years 1970 to 2100"),
        (r#""event":"e""#, r#""event":"e","backfill":"true""#, "`backfill` is a string, expected true or false"),
        (
            r#""event":"e""#,
            r#""event":"e","datacontenttype":"application/xml""#,
            "`datacontenttype` is \"application/xml\", expected application/json",
        ),
        (
            r#""event":"e""#,
            r#""event":"e","data_base64":"e30=""#,
            "`data_base64` is not accepted: a record's data is a JSON object, in `data`",
        ),
    ] {
        assert_eq!(said(from, to), message, "{to}");
    }
    assert_eq!(said(r#""acme""#, &format!("\"{}\"", "x".repeat(257))), "`tenant` is longer than 256 bytes");
}

#[test]
fn data_is_checked() {
    let team = r#""team":"t1""#;
    for (to, message) in [
        (r#""x":1"#, "`data.team` is missing"),
        (r#""team":"""#, "`data.team` is empty"),
        (r#""team":"a\nb""#, "`data.team` has control characters"),
        (r#""team":["t1"]"#, "`data.team` is a list, expected a string"),
        (r#""team":null"#, "`data.team` is null, expected a string"),
        (r#""team":"t1","contest_time_ms":"x""#, "`data.contest_time_ms` is the string \"x\", expected an integer"),
        (r#""team":"t1","contest_time_ms":1.5"#, "`data.contest_time_ms` is the number `1.5`, expected an integer"),
        (
            r#""team":"t1","contest_time_ms":-400000000000"#,
            "`data.contest_time_ms` is -400000000000, expected an integer from -316224000000 to 316224000000",
        ),
        (
            r#""team":"t1","revision":9007199254740992"#,
            "`data.revision` is 9007199254740992, expected an integer from 0 to 9007199254740991",
        ),
        (r#""team":"t1","team":"t1""#, "`data` cannot be read: the key `team` is given twice at byte 137"),
        (
            r#""team":"t1","x":{"y":1,"z":2,"\u0079":3}"#,
            "`data` cannot be read: the key `y` is given twice at byte 172",
        ),
        (r#""team":"t1","x":1e999"#, "`data` cannot be read: a number out of range at byte 172"),
        (
            r#""team":"t1","x":"\ud800""#,
            "`data` cannot be read: half a surrogate pair, which is no character at byte 173",
        ),
    ] {
        assert_eq!(said(team, to), message, "{to}");
    }
    let data = r#"{"submission":"s1","team":"t1","problem":"p1"}"#;
    for (to, message) in [
        (r#"["s1","t1","p1"]"#, "`data` is a list, expected an object"),
        (r#""e30=""#, "`data` is a string, expected an object"),
        ("null", "`data` is missing"),
    ] {
        assert_eq!(said(data, to), message);
    }
    let deep = format!(r#""team":"t1","x":{}{}"#, "[".repeat(64), "]".repeat(64));
    assert_eq!(said(team, &deep), "`data` cannot be read: nested deeper than 64 levels at byte 235");
    assert!(decode(with(team, &deep.replace("[[[", "[[").replace("]]]", "]]")).as_bytes()).is_ok());
}

#[test]
fn bodies_have_limits() {
    let body = |kind: &str, data: &str| -> String {
        let json = with("submission.received", kind).replace(r#"{"submission":"s1","team":"t1","problem":"p1"}"#, data);
        decode(json.as_bytes()).map_or_else(|e| e.to_string(), |_| "fine".into())
    };
    let team = |name: usize, groups: usize| {
        let groups = vec!["\"g\""; groups].join(",");
        body("team.registered", &format!(r#"{{"team":"t","name":"{}","groups":[{groups}]}}"#, "n".repeat(name)))
    };
    assert_eq!(team(16 << 10, 1000), "fine");
    assert_eq!(team((16 << 10) + 1, 0), "`data.name` has 16385 bytes; at most 16384 are accepted");
    assert_eq!(team(0, 1001), "`data.groups` has 1001 items; at most 1000 are accepted");
    for (kind, data, message) in [
        ("team.registered", r#"{"team":"t","groups":["a",""]}"#, "`data.groups[1]` is empty"),
        (
            "event.configured",
            r#"{"name":"e","duration_ms":-1}"#,
            "`data.duration_ms` is -1, expected an integer from 0 to 316224000000",
        ),
        (
            "event.started",
            r#"{"at":"1969-12-31T23:59:59Z"}"#,
            "`data.at` is `1969-12-31T23:59:59.000Z`, expected a time in the years 1970 to 2100",
        ),
        (
            "usage.tokens",
            r#"{"model":"m","input_tokens":-1,"output_tokens":0}"#,
            "`data.input_tokens` is the number `-1`, expected an integer that is not negative",
        ),
        (
            "usage.tokens",
            r#"{"model":"m","input_tokens":0,"output_tokens":9007199254740992}"#,
            "`data.output_tokens` is 9007199254740992, expected an integer from 0 to 9007199254740991",
        ),
        (
            "rubric.published",
            r#"{"rubric":"r","version":1,"dimensions":[{"dimension":"d","weight_bp":10001,"operator":"o"}]}"#,
            "`data.dimensions[0].weight_bp` is 10001, expected an integer from 0 to 10000",
        ),
        (
            "price.published",
            r#"{"price_list":"p","version":1,"currency":"EUR","prices":[{"model":"m","kind":"input","micro_per_million":-1}]}"#,
            "`data.prices[0].micro_per_million` is -1, expected an integer from 0 to 9007199254740991",
        ),
        (
            "lab.step.failed",
            r#"{"lab":"l","step":"s","attempt":0}"#,
            "`data.attempt` is 0, expected an integer from 1 to 4294967295",
        ),
        (
            "board.changed",
            r#"{"view":"public","key":{"kind":"row","tenant":"a","event":"e","team":""},"value":null,"versions":[["",1]]}"#,
            "`data.key.team` is empty",
        ),
        (
            "board.changed",
            r#"{"view":"public","key":{"kind":"header","tenant":"a","event":"e"},"versions":[]}"#,
            "`data.value` is missing",
        ),
    ] {
        assert_eq!(body(kind, data), message);
    }
}

#[test]
fn not_json() {
    for (json, message) in [
        ("", "not a JSON object in UTF-8: expected `{`: a record is an object at byte 0"),
        ("[]", "not a JSON object in UTF-8: expected `{`: a record is an object at byte 0"),
        ("{} {}", "not a JSON object in UTF-8: expected the end of the text at byte 3"),
        (r#"{"id":"1""#, "not a JSON object in UTF-8: expected `,` or `}` at byte 9"),
        (r#"{"id":"1",}"#, "not a JSON object in UTF-8: expected a key in quotes at byte 10"),
        (r#"{"xx":tru}"#, "not a JSON object in UTF-8: expected a value at byte 6"),
        (r#"{"id":'1'}"#, "not a JSON object in UTF-8: expected a value at byte 6"),
        (r#"{"data":{"a":01}}"#, "not a JSON object in UTF-8: expected `,` or `}` at byte 14"),
        ("{}", "`specversion` is missing"),
    ] {
        assert_eq!(refused(json).to_string(), message, "{json}");
    }
    assert_eq!(refused(b"{\"id\":\"a\xff\"}"), DecodeError::Syntax("invalid UTF-8 at byte 8".into()));
    let large = with("\"s1\"", &format!("\"{}\"", "x".repeat(MAX_RECORD_BYTES)));
    assert_eq!(refused(&large), DecodeError::TooLarge { bytes: large.len(), limit: MAX_RECORD_BYTES });
}

#[test]
fn what_is_unknown_is_ignored() {
    let plain = decode(GOOD.as_bytes()).expect("good");
    for (from, to) in [
        (r#""event":"e","#, r#""event":"e","traceparent":"00-1","later":{"deep":[[1e999,"\ud800"]]},"#),
        (r#""event":"e","#, r#""event":"e","dataschema":"https://example.org/s","subject":null,"#),
        (r#""team":"t1""#, r#""team":"t1","later":[{"a":-1.5e3}],"":{}"#),
        (r#""event":"e","#, r#""event":"e","datacontenttype":"Application/JSON; charset=utf-8","#),
        (r#""event":"e","#, r#""event":"e","datacontenttype":"application/vnd.acme+json","data_base64":null,"#),
        (r#""tenant""#, "\n\"te\\u006eant\" "),
    ] {
        assert_eq!(decode(with(from, to).as_bytes()), Ok(plain.clone()), "{to}");
    }
    let many: String = (0..60).map(|n| format!("\"x{n}\":0,")).collect();
    let message = said(r#""id""#, &format!("{many}\"id\""));
    assert_eq!(message, "`x52` is one attribute too many: a record has at most 64");
}

#[test]
fn negative_contest_times_are_before_the_start() {
    let json = with(r#""team":"t1""#, r#""team":"t1","contest_time_ms":-60000"#);
    match decode(json.as_bytes()).expect("good").body {
        Body::SubmissionReceived(s) => assert_eq!(s.contest_time_ms, Some(-60_000)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn batches_have_limits() {
    let of = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
    assert_eq!(decode_batch(of(MAX_BATCH_RECORDS).as_bytes()).map(|b| b.len()), Ok(MAX_BATCH_RECORDS));
    let message = decode_batch(of(MAX_BATCH_RECORDS + 1).as_bytes()).expect_err("too many").to_string();
    assert_eq!(message, "`[10000]` is one record too many: a batch has at most 10000; split it");
    let large = " ".repeat(MAX_BATCH_BYTES + 1);
    assert!(matches!(decode_batch(large.as_bytes()), Err(DecodeError::TooLarge { limit: MAX_BATCH_BYTES, .. })));
    for bad in ["", "{}", "[", "[{}", "[{},]", "[{}]x", "[{} {}]"] {
        assert!(matches!(decode_batch(bad.as_bytes()), Err(DecodeError::Syntax(_))), "{bad}");
    }
    assert_eq!(decode_batch(b" [ ] "), Ok(vec![]));
}

#[test]
fn a_bad_record_spoils_no_other() {
    let large = with("\"s1\"", &format!("\"{}\"", "x".repeat(MAX_RECORD_BYTES)));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut batch = format!("[{GOOD},7,{{}},{large},{deep},").into_bytes();
    batch.extend_from_slice(b"{\"id\":\"\xff\"},");
    batch.extend_from_slice(format!("{GOOD}]").as_bytes());
    let codes: Vec<&str> = decode_batch(&batch)
        .expect("an array")
        .iter()
        .map(|item| item.as_ref().map_or_else(|e| e.code(), |_| "fine"))
        .collect();
    assert_eq!(codes, ["fine", "syntax", "missing", "too_large", "syntax", "syntax", "fine"]);
}

#[test]
fn records_that_were_built_can_be_checked() {
    let mut record = decode(GOOD.as_bytes()).expect("good");
    assert_eq!(record.validate(), Ok(()));
    record.event = None;
    assert_eq!(record.validate(), Err(DecodeError::Missing { field: "event".into() }));
    record.event = Some("".into());
    assert_eq!(record.validate().expect_err("empty").to_string(), "`event` is empty");
}

#[test]
fn jury_changes_never_go_on_the_public_topic() {
    for (view, topic) in [("public", Topic::BoardsPublic), ("jury", Topic::BoardsJury)] {
        let data = format!(
            r#"{{"view":"{view}","key":{{"kind":"header","tenant":"a","event":"e"}},"value":null,"versions":[]}}"#
        );
        let json = with("submission.received", "board.changed")
            .replace(r#"{"submission":"s1","team":"t1","problem":"p1"}"#, &data);
        assert_eq!(decode(json.as_bytes()).expect("good").body.topic(), topic);
    }
}

/// Identities are stored: these numbers never change.
#[test]
fn identities_are_stable() {
    let (_, identity) = decode_full(GOOD.as_bytes()).expect("good");
    let text = r#"{"problem":"p1","submission":"s1","team":"t1"}"#.as_bytes();
    let mut layout = [&(text.len() as u32).to_le_bytes(), text].concat();
    for part in [Some(&b"submission.received"[..]), None, Some(b"e"), Some(&1_773_475_200_000_i64.to_le_bytes())] {
        layout.push(u8::from(part.is_some()));
        if let Some(part) = part {
            layout.extend_from_slice(&(part.len() as u32).to_le_bytes());
            layout.extend_from_slice(part);
        }
    }
    assert_eq!(blake3::hash(&layout).as_bytes()[..8], identity.data.to_le_bytes());
    let who = b"\x04\0\0\0acme\x01\0\0\0s\x01\0\0\x001";
    assert_eq!(blake3::hash(who).as_bytes()[..16], identity.id.to_le_bytes());
    assert_eq!((identity.id, identity.data), (95663874237204740497308961459614091050, 16216364974436153123));
    let spaced = with("2026-03-14T08:00:00Z", "2026-03-14T09:00:00.000+01:00")
        .replace(r#""team":"t1","#, "")
        .replace(r#""problem":"p1"}"#, r#" "problem" : "p\u0031", "team":"t1" }"#);
    assert_eq!(decode_full(spaced.as_bytes()).expect("good").1, identity);
    let other = with("\"p1\"", "\"p2\"");
    assert_ne!(decode_full(other.as_bytes()).expect("good").1.data, identity.data);
}
