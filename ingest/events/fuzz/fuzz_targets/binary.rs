//! Any bytes as headers (`name: value` lines) and, after an empty line, a body: what is accepted is also a record in
//! structured mode.
#![no_main]

use gravity_events::codec::{decode, decode_binary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = bytes.iter().copied().map(char::from).collect::<String>();
    let (head, _) = text.split_once("\n\n").unwrap_or((&text, ""));
    let body = &bytes[bytes.len().min(head.chars().count() + 2)..];
    let headers = head.lines().filter_map(|line| line.split_once(": ")).map(|(name, value)| (name, value.as_bytes()));
    if let Ok((record, structured)) = decode_binary(headers, body) {
        assert_eq!(decode(&structured).as_ref(), Ok(&record));
    }
});
