//! 20,000 broken records: none makes the codec panic, and what it accepts, it prints and reads back.

#[path = "common/invariants.rs"]
mod invariants;
#[path = "common/records.rs"]
mod records;

use gravity_events::codec::{MAX_RECORD_BYTES, decode, decode_batch, decode_full, encode};
use gravity_events::{Body, DecodeError};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use invariants::check;

/// SplitMix64: the same mutations on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Values that stand where others are expected.
const ODD: [&str; 18] = [
    "null",
    "true",
    "-1",
    "0",
    "-0",
    "1e999",
    "1.5",
    "-9223372036854775808",
    "18446744073709551616",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "[]",
    "{}",
    "[[[[[[[[[[]]]]]]]]]]",
    "{\"a\":1,\"a\":2}",
    "\"1969-12-31T23:59:59Z\"",
    "-999999999999999999",
];

fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut json = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(3) {
        let at = random.below(json.len());
        match random.below(9) {
            0 if !json.is_empty() => json[at] ^= 1 << random.below(8),
            1 if !json.is_empty() => json[at] = random.next() as u8,
            2 => json.truncate(at),
            3 => drop(json.drain(at..(at + random.below(20)).min(json.len()))),
            4 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let to = (from + random.below(80)).min(other.len());
                json.splice(at..at, other[from..to].iter().copied());
            }
            5 => {
                let kind = random.pick(Body::KINDS);
                json = replace_value(&json, b"\"type\":", format!("\"{kind}\"").as_bytes());
            }
            6 => {
                // Some member's value becomes an odd one.
                let colons: Vec<usize> =
                    json.windows(2).enumerate().filter(|(_, w)| w == b"\":").map(|(n, _)| n).collect();
                if !colons.is_empty() {
                    let colon = colons[random.below(colons.len())] + 2;
                    let end =
                        json[colon..].iter().position(|b| matches!(b, b',' | b'}')).map_or(json.len(), |n| colon + n);
                    json.splice(colon..end, random.pick(&ODD).bytes());
                }
            }
            7 => {
                let bad: &[u8] = random.pick(&[
                    &b"\xff"[..],
                    b"\xc3",
                    b"\xed\xa0\x80",
                    b"\xf4\x90\x80\x80",
                    b"\0",
                    b"\\",
                    b"\"",
                    b"\xef\xbb\xbf",
                ]);
                json.splice(at..at, bad.iter().copied());
            }
            _ => {
                let ms = -(random.below(1 << 50) as i64);
                json = replace_value(&json, b"\"contest_time_ms\":", ms.to_string().as_bytes());
            }
        }
    }
    json
}

/// Replaces what stands after `key`, up to the next comma or brace.
fn replace_value(json: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let Some(start) = json.windows(key.len()).position(|w| w == key).map(|n| n + key.len()) else {
        return json.to_vec();
    };
    let end = json[start..].iter().position(|b| matches!(b, b',' | b'}')).map_or(json.len(), |n| start + n);
    [&json[..start], value, &json[end..]].concat()
}

#[test]
fn mutations_never_panic() {
    let mut runner = TestRunner::deterministic();
    let mut seeds = Vec::new();
    for kind in Body::KINDS {
        let strategy = records::record_of(kind);
        let small = strategy.prop_map(|record| encode(&record)).prop_filter("small", |json| json.len() < 500);
        seeds.extend((0..4).map(|_| small.new_tree(&mut runner).expect(kind).current()));
    }
    let mut random = Random(1);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let json = mutate(&seeds, &mut random);
        accepted += usize::from(check(&json));
        let batch = [b"[", json.as_slice(), b",", seeds[0].as_slice(), b"]"].concat();
        if let Ok(items) = decode_batch(&batch) {
            assert!(items.last().is_some_and(Result::is_ok), "the good record behind it is kept");
        }
    }
    assert!((1_000..19_000).contains(&accepted), "mutations both break records and leave them whole: {accepted}");
}

#[test]
fn long_strings_never_panic() {
    let mut runner = TestRunner::deterministic();
    let long = format!("\"{}\"", "x".repeat(2 << 20));
    let fits = format!("\"{}\"", "\\u00e9".repeat(20_000));
    for kind in Body::KINDS {
        let json = encode(&records::record_of(kind).new_tree(&mut runner).expect(kind).current());
        for key in ["\"id\":", "\"type\":", "\"time\":", "\"name\":", "\"team\":", "\"data\":"] {
            if !String::from_utf8_lossy(&json).contains(key) {
                continue;
            }
            let large = replace_value(&json, key.as_bytes(), long.as_bytes());
            let refused = DecodeError::TooLarge { bytes: large.len(), limit: MAX_RECORD_BYTES };
            assert_eq!((decode(&large).err(), decode_full(&large).err()), (Some(refused.clone()), Some(refused)));
            assert!(!check(&replace_value(&json, key.as_bytes(), fits.as_bytes())), "{kind} {key}");
        }
    }
}

#[test]
fn every_prefix_is_refused() {
    let json = br#"{"specversion":"1.0","id":"1","source":"s","type":"lab.telemetry","tenant":"a","data":{"lab":"\u00e9\ud83d\ude02","metric":"m","value":-1.5e-3}}"#;
    assert!(check(json));
    for end in 0..json.len() {
        assert!(!check(&json[..end]));
    }
}
