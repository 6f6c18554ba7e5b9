//! What a month cost, as a document: a pure function of the month's usage and prices, so that made again it has the same bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use gravity_events::Id;
use gravity_events::burn::{Item, MINUTE_MS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::services::billing::burn::Totals;
use crate::serving::burn::{Burn, Sum};

/// A calendar month, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Month {
    name: String,
    start_ms: i64,
    end_ms: i64,
}

impl Month {
    /// `YYYY-MM`.
    pub(super) fn parse(text: &str) -> Option<Month> {
        let (year, month) = text.split_once('-').filter(|(y, m)| y.len() == 4 && m.len() == 2)?;
        let (year, month): (i32, u32) = (year.parse().ok()?, month.parse().ok()?);
        let first = |year, month| {
            let day = chrono::NaiveDate::from_ymd_opt(year, month, 1)?;
            Some(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis())
        };
        let next = if month == 12 { first(year + 1, 1) } else { first(year, month + 1) };
        Some(Month { name: text.to_owned(), start_ms: first(year, month)?, end_ms: next? })
    }

    /// The first millisecond after it.
    pub(super) fn end_ms(&self) -> i64 {
        self.end_ms
    }

    fn minutes(&self) -> Range<i64> {
        self.start_ms / MINUTE_MS..self.end_ms / MINUTE_MS
    }
}

/// Which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// All of the month, as it was known when it was closed.
    Invoice,
    /// What has changed since the documents before.
    CreditNote,
}

/// A document. Nothing in it says when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Document {
    /// Tenant, month and, of a credit note, its number: unique.
    pub number: String,
    /// Which it is.
    pub kind: Kind,
    /// Who pays.
    pub tenant: String,
    /// `YYYY-MM`, UTC.
    pub month: String,
    /// Of all amounts (ISO 4217); null: there are no prices.
    pub currency: Option<String>,
    /// By item, price list and version.
    pub lines: Vec<Line>,
    /// Of all lines, in micro-units; of a credit note often below zero.
    pub total_micro: i64,
    /// Records of which something has no price.
    pub unpriced_records: i64,
}

/// Usage that was charged by one version of a price list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// `model` or `machine`.
    pub kind: String,
    /// Its name.
    pub item: String,
    /// The price list; null: nothing has a price.
    pub price_list: Option<String>,
    /// Its version.
    pub price_version: Option<u64>,
    /// What was used, and what it costs.
    #[serde(flatten)]
    pub totals: Totals,
}

impl Line {
    fn key(&self) -> (String, String, Option<String>, Option<u64>) {
        (self.kind.clone(), self.item.clone(), self.price_list.clone(), self.price_version)
    }
}

fn numbers(totals: &mut Totals) -> [&mut i64; 7] {
    [
        &mut totals.records,
        &mut totals.input_tokens,
        &mut totals.output_tokens,
        &mut totals.cached_tokens,
        &mut totals.duration_ms,
        &mut totals.cost_micro,
        &mut totals.unpriced_records,
    ]
}

impl Document {
    /// As it is kept and sent.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("a document in memory can be written")
    }

    fn of(kind: Kind, number: String, of: &Document, lines: Vec<Line>) -> Document {
        Document {
            number,
            kind,
            tenant: of.tenant.clone(),
            month: of.month.clone(),
            currency: of.currency.clone(),
            total_micro: lines.iter().map(|line| line.totals.cost_micro).fold(0, i64::saturating_add),
            unpriced_records: lines.iter().map(|line| line.totals.unpriced_records).fold(0, i64::saturating_add),
            lines,
        }
    }
}

/// All of a month as it is known now.
pub(super) fn invoice(tenant: &Id, month: &Month, burn: &Burn) -> Document {
    let (currency, sums) = burn.by_price(tenant, month.minutes());
    let line = |((item, prices), sum): ((Item, Option<(Id, u64)>), Sum)| Line {
        kind: item.kind().to_owned(),
        item: item.name().to_string(),
        price_list: prices.as_ref().map(|(list, _)| list.to_string()),
        price_version: prices.map(|(_, version)| version),
        totals: sum.into(),
    };
    let empty = Document {
        number: String::new(),
        kind: Kind::Invoice,
        tenant: tenant.to_string(),
        month: month.name.clone(),
        currency: currency.map(|currency| currency.to_string()),
        lines: Vec::new(),
        total_micro: 0,
        unpriced_records: 0,
    };
    let number = format!("{tenant}/{}", month.name);
    Document::of(Kind::Invoice, number, &empty, sums.into_iter().map(line).collect())
}

/// What `now` has beyond the documents that were made; None: nothing.
pub(super) fn credit_note(now: &Document, earlier: &[Document]) -> Option<Document> {
    let mut changes: BTreeMap<_, Line> = BTreeMap::new();
    let signed = earlier.iter().map(|document| (document, -1)).chain([(now, 1)]);
    for (document, sign) in signed {
        for line in &document.lines {
            let none = || Line { totals: Totals::default(), ..line.clone() };
            let slot = changes.entry(line.key()).or_insert_with(none);
            for (sum, number) in numbers(&mut slot.totals).into_iter().zip(numbers(&mut line.totals.clone())) {
                *sum = sum.saturating_add(sign * *number);
            }
        }
    }
    changes.retain(|_, line| line.totals != Totals::default());
    let number = format!("{}/{}", now.number, earlier.len());
    (!changes.is_empty()).then(|| Document::of(Kind::CreditNote, number, now, changes.into_values().collect()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use gravity_events::burn::{Cell, Charged, Usage};
    use gravity_events::publish::{BurnEpoch, BurnSink};

    fn put(burn: &Burn, minute: i64, model: &str, version: u64, cost_micro: i64) {
        let item = Item::Model(model.into());
        let cell = Cell { event: Some("e".into()), ..Cell::first_of(&"t".into(), &item, minute) };
        let usage = Usage { records: 1, input_tokens: cost_micro, ..Usage::default() };
        let charged = Charged { usage, cost_micro, prices: Some(("list".into(), version)), unpriced: false };
        let currencies = vec![("t".into(), Some("EUR".into()))];
        burn.publish_burn(Arc::new(BurnEpoch {
            cells: vec![(cell, Some(charged))],
            currencies,
            ..BurnEpoch::default()
        }));
    }

    #[test]
    fn months_begin_and_end() {
        let month = Month::parse("2026-02").expect("a month");
        assert_eq!(month.end_ms - month.start_ms, 28 * 86_400_000);
        assert_eq!(
            Month::parse("2026-12").expect("a month").end_ms,
            Month::parse("2027-01").expect("a month").start_ms
        );
        assert_eq!(
            ["2026-13", "2026-00", "26-01", "2026-1", "2026", "x"].map(|text| Month::parse(text).is_some()),
            [false; 6]
        );
    }

    #[test]
    fn a_document_is_of_its_month_and_made_again_it_has_the_same_bytes() {
        let (burn, month) = (Burn::default(), Month::parse("2026-02").expect("a month"));
        let first = month.minutes().start;
        for (minute, model, version, cost) in [
            (first - 1, "m", 1, 1),
            (first, "m", 1, 10),
            (first + 5, "m", 2, 20),
            (first + 9, "n", 2, 30),
            (first + 8, "m", 1, 40),
        ] {
            put(&burn, minute, model, version, cost);
        }
        put(&burn, month.minutes().end, "m", 1, 5);
        let made = invoice(&"t".into(), &month, &burn);
        let lines: Vec<_> = made
            .lines
            .iter()
            .map(|l| (l.item.as_str(), l.price_version, l.totals.records, l.totals.cost_micro))
            .collect();
        assert_eq!(lines, [("m", Some(1), 2, 50), ("m", Some(2), 1, 20), ("n", Some(2), 1, 30)]);
        assert_eq!((made.total_micro, made.number.as_str(), made.currency.as_deref()), (100, "t/2026-02", Some("EUR")));
        assert_eq!(invoice(&"t".into(), &month, &burn).text(), made.text());
        assert_eq!(credit_note(&made, std::slice::from_ref(&made)), None);
        // A late record, and a version that took another's place.
        put(&burn, first + 5, "m", 3, 12);
        let now = invoice(&"t".into(), &month, &burn);
        let note = credit_note(&now, std::slice::from_ref(&made)).expect("something changed");
        let lines: Vec<_> = note
            .lines
            .iter()
            .map(|l| (l.item.as_str(), l.price_version, l.totals.records, l.totals.cost_micro))
            .collect();
        assert_eq!(lines, [("m", Some(2), -1, -20), ("m", Some(3), 1, 12)]);
        assert_eq!((note.kind, note.total_micro, note.number.as_str()), (Kind::CreditNote, -8, "t/2026-02/1"));
        assert_eq!(credit_note(&now, &[made, note]), None, "documents add up to what is known");
    }
}
