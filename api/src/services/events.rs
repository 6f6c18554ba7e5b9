//! Events: setting one up from a file, moving its state, submitting to it.

pub mod apply;
pub mod duration;
pub mod file;
mod own;
pub mod preview;
pub mod resolver;
pub mod score;
pub mod similarity;
pub mod state;
pub mod submissions;

use std::sync::Arc;

use gravity_events::board::View;

use crate::app::AppState;
use crate::http::Problem;
use crate::serving::HeaderState;

/// The jury's header of an event, or 404.
pub(crate) fn header(state: &AppState, event: &str) -> Result<Arc<HeaderState>, Problem> {
    state.boards.header(event, View::Jury).ok_or_else(|| Problem::unknown_event(event))
}

/// An id of 128 bits that sorts by time, in the form of a UUID of version 7 (RFC 9562).
pub(crate) fn time_ordered_id(now_ms: i64) -> String {
    let time = u128::from(now_ms.max(0).cast_unsigned() & 0xffff_ffff_ffff) << 80;
    uuid_text(time | (rand::random::<u128>() >> 48), 7)
}

/// The form of a UUID of this version for these bits.
pub(crate) fn uuid_text(bits: u128, version: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (version << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_uuids_and_sort_by_time() {
        let (a, b) = (time_ordered_id(1_700_000_000_000), time_ordered_id(1_700_000_000_001));
        assert!(a < b && a.len() == 36);
        assert_eq!(&a[..13], "018bcfe5-6800");
        assert_eq!(&a[14..15], "7");
        assert!("89ab".contains(&a[19..20]));
        assert_eq!(uuid_text(0, 8), "00000000-0000-8000-8000-000000000000");
    }
}
