//! A document as a page that can be printed. It has nothing but the document: the same one is the same page.

use super::document::{Document, Kind};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;margin:3rem auto;max-width:60rem;padding:0 1rem}\
h1{font-size:1.6rem;margin:0}p{color:#57606a;margin:.2rem 0 2rem}table{border-collapse:collapse;width:100%}\
th,td{padding:.45rem .6rem;text-align:right;border-bottom:1px solid #d0d7de;font-variant-numeric:tabular-nums}\
th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}tfoot td{font-weight:600;border-bottom:0}";

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Micro-units as units.
fn money(micro: i64) -> String {
    let sign = if micro < 0 { "\u{2212}" } else { "" };
    let micro = micro.unsigned_abs();
    format!("{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// The page.
pub(super) fn html(of: &Document) -> String {
    let title = match of.kind {
        Kind::Invoice => "Invoice",
        Kind::CreditNote => "Credit note",
    };
    let (number, tenant, month) = (escaped(&of.number), escaped(&of.tenant), escaped(&of.month));
    let currency = escaped(of.currency.as_deref().unwrap_or(""));
    let mut rows = String::new();
    for line in &of.lines {
        let prices = match (&line.price_list, line.price_version) {
            (Some(list), Some(version)) => format!("{} v{version}", escaped(list)),
            _ => "no price".to_owned(),
        };
        let of = &line.totals;
        let numbers = [of.records, of.input_tokens, of.cached_tokens, of.output_tokens, of.duration_ms / 1_000];
        let numbers: String = numbers.iter().map(|number| format!("<td>{number}</td>")).collect();
        let cost = money(of.cost_micro);
        rows.push_str(&format!("<tr><td>{}</td><td>{prices}</td>{numbers}<td>{cost}</td></tr>\n", escaped(&line.item)));
    }
    let unpriced = match of.unpriced_records {
        0 => String::new(),
        n => format!("<p>{n} records have no price.</p>\n"),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title} {number}</title><style>{STYLE}</style>\n\
         <h1>{title} {number}</h1>\n<p>{tenant}, {month} (UTC)</p>\n<table>\n<thead><tr><th>Item</th><th>Prices</th>\
         <th>Records</th><th>Input tokens</th><th>of them cached</th><th>Output tokens</th><th>Seconds</th><th>{currency}</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n<tfoot><tr><td>Total</td><td></td><td></td><td></td><td></td><td></td><td></td><td>{}</td></tr></tfoot>\n\
         </table>\n{unpriced}</html>\n",
        money(of.total_micro)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::billing::burn::Totals;
    use crate::services::billing::invoices::document::Line;

    #[test]
    fn names_are_words_and_not_markup() {
        let line = Line {
            kind: "model".into(),
            item: "<script>".into(),
            price_list: Some("a&b".into()),
            price_version: Some(2),
            totals: Totals {
                records: 1,
                input_tokens: 2,
                output_tokens: 3,
                cached_tokens: 4,
                duration_ms: 5_000,
                cost_micro: -1_500_000,
                unpriced_records: 0,
            },
        };
        let document = Document {
            number: "t/2026-02/1".into(),
            kind: Kind::CreditNote,
            tenant: "\"t\"".into(),
            month: "2026-02".into(),
            currency: Some("EUR".into()),
            lines: vec![line],
            total_micro: -1_500_000,
            unpriced_records: 7,
        };
        let page = html(&document);
        assert!(
            page.contains("Credit note t/2026-02/1") && page.contains("&lt;script&gt;") && !page.contains("<script>")
        );
        assert!(
            page.contains("a&amp;b v2")
                && page.contains("\u{2212}1.500000")
                && page.contains("7 records have no price")
        );
        assert_eq!(html(&document), page);
    }
}
