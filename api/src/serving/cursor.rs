//! Signed cursors: where the next page begins, in which version of which board.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gravity_events::Id;
use gravity_events::board::View;

use super::error::ServeError;

/// Longest cursor that is looked at, in characters; ids have at most 256 bytes.
const CURSOR_CHARS_MAX: usize = 1_024;
const MAC_BYTES: usize = blake3::OUT_LEN;
/// Changes with the layout below.
const FORMAT: u8 = 1;

/// What a cursor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) event: Id,
    pub(super) view: View,
    pub(super) division: Id,
    pub(super) version: u64,
    /// Index of the first row.
    pub(super) index: u64,
}

impl Cursor {
    /// Layout: format, view, version, index, length of the event's id, event, division; all signed.
    pub(super) fn sign(&self, key: &[u8; 32]) -> String {
        let mut bytes = vec![FORMAT, self.view as u8];
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.event.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(self.event.as_bytes());
        bytes.extend_from_slice(self.division.as_bytes());
        let mac = mac(key, &bytes);
        bytes.extend_from_slice(mac.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor that this key signed.
    pub(super) fn verify(text: &str, key: &[u8; 32]) -> Result<Cursor, ServeError> {
        let wrong = |problem| ServeError::BadCursor { problem };
        if text.len() > CURSOR_CHARS_MAX {
            return Err(wrong("is longer than any that this server gives out"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong("is not base64url without padding"))?;
        let (body, given) = bytes.split_at(bytes.len().saturating_sub(MAC_BYTES));
        // `Hash` compares in constant time; slices would not.
        let given: [u8; MAC_BYTES] = given.try_into().map_err(|_| wrong("is cut short"))?;
        if mac(key, body) != blake3::Hash::from_bytes(given) {
            return Err(wrong("was not given out by this server, or was changed"));
        }
        Self::parse(body).ok_or_else(|| wrong("has a format that this server no longer reads"))
    }

    fn parse(body: &[u8]) -> Option<Cursor> {
        let (head, rest) = body.split_first_chunk::<20>()?;
        let view = match head[..2] {
            [FORMAT, 0] => View::Public,
            [FORMAT, 1] => View::Jury,
            _ => return None,
        };
        let (event, division) = rest.split_at_checked(usize::from(u16::from_le_bytes([head[18], head[19]])))?;
        Some(Cursor {
            event: Id::from_utf8(event).ok()?,
            view,
            division: Id::from_utf8(division).ok()?,
            version: u64::from_le_bytes(head[2..10].try_into().ok()?),
            index: u64::from_le_bytes(head[10..18].try_into().ok()?),
        })
    }
}

fn mac(key: &[u8; 32], bytes: &[u8]) -> blake3::Hash {
    blake3::Hasher::new_keyed(key).update(b"cursor\0").update(bytes).finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_signed_and_nothing_else() {
        let key = [3; 32];
        let cursor =
            Cursor { event: "é-1".into(), view: View::Jury, division: "d".into(), version: 7, index: u64::MAX };
        let text = cursor.sign(&key);
        assert_eq!(Cursor::verify(&text, &key), Ok(cursor.clone()));
        assert!(Cursor::verify(&text, &[4; 32]).is_err());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let error = Cursor::verify(&changed, &key).unwrap_err();
            assert_eq!(error.status(), 400, "{changed}");
            assert!(Cursor::verify(&text[..at], &key).is_err());
        }
        assert!(Cursor::verify(&"A".repeat(5_000), &key).is_err());
        assert!(Cursor::verify("", &key).is_err());
        let longest = Id::from("x".repeat(gravity_events::id::MAX_ID_BYTES));
        let cursor = Cursor { event: longest.clone(), division: longest, ..cursor };
        assert_eq!(Cursor::verify(&cursor.sign(&key), &key), Ok(cursor));
    }
}
