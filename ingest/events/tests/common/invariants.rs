//! What holds of the decoder for any bytes: for mutated records in the tests, for whatever the fuzzer finds in fuzz/.

use gravity_events::canonical::canonical;
use gravity_events::codec::{decode, decode_full, encode};

/// Decodes in every way; true when the record was accepted.
pub fn check(json: &[u8]) -> bool {
    let decoded = decode(json);
    let full = decode_full(json);
    assert_eq!(decoded.as_ref().err(), full.as_ref().err());
    if let Err(error) = &decoded {
        assert!(error.to_string().len() < 1000, "{error}");
    }
    if let Ok(text) = std::str::from_utf8(json)
        && let Ok(form) = canonical(text)
    {
        assert_eq!(canonical(&form).as_deref(), Ok(form.as_ref()));
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
    }
    let Ok(record) = decoded else { return false };
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok(), "{}", String::from_utf8_lossy(json));
    assert_eq!(record.validate(), Ok(()));
    let printed = encode(&record);
    assert_eq!(decode(&printed).as_ref(), Ok(&record), "{}", String::from_utf8_lossy(json));
    assert!(!record.key().is_empty());
    true
}
