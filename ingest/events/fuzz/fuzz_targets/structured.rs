//! Any bytes as a record and as a batch: what is accepted is printed and read back as the same record.
#![no_main]

#[path = "../../tests/common/invariants.rs"]
mod invariants;

use gravity_events::codec::decode_batch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let accepted = invariants::check(bytes);
    let batch = [b"[", bytes, b"]"].concat();
    if let (true, Ok(items)) = (accepted, decode_batch(&batch)) {
        assert!(items.len() == 1 && items[0].is_ok(), "a record is also a batch of one");
    }
});
