//! Price lists, and what usage costs by them: a pure function of a tenant's usage and its lists.
//!
//! - Usage has the prices of the start of its minute.
//! - Lists that name an event take the place of those that name none, for that event's usage.
//! - Of a list, the version in force is the latest one by (from when, version). It replaces the others whole.
//! - Of several lists in force that price a kind, the one in force since latest does, then the higher version, then the
//!   greater name.
//! - All lists of a tenant are in one currency: that of the list in force first. Others are left out.
//! - Tiers count the units of a list and kind over a calendar month (UTC), in the order of minutes; in a minute by event,
//!   team and lab, unreserved usage before reserved.
//! - A hint that has no price of its own has that of `*`.
//! - A charge is rounded once per cell and kind, half up.

use std::collections::BTreeMap;

use gravity_events::Id;
use gravity_events::body::{Price, PricePublished};
use gravity_events::burn::{Cell, Charged, Item, MINUTE_MS, PriceListKey, Usage};
use serde::{Deserialize, Serialize};

/// A price list as it is folded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PriceList {
    /// Its name.
    pub list: Id,
    /// Its version.
    pub version: u64,
    /// The event whose usage it is for; None: all others'.
    pub event: Option<Id>,
    /// ISO 4217.
    pub currency: Id,
    /// In force from this minute on.
    pub from_minute: i64,
    /// Its prices.
    pub prices: Vec<Price>,
}

impl PriceList {
    /// Of a record of `event`, or of none.
    pub fn of(event: Option<&Id>, body: &PricePublished) -> PriceList {
        PriceList {
            list: body.price_list.clone(),
            version: body.version,
            event: event.cloned(),
            currency: body.currency.clone(),
            from_minute: body.effective_at.map_or(i64::MIN, |at_ms| at_ms.div_euclid(MINUTE_MS)),
            prices: body.prices.clone(),
        }
    }

    /// Which one it is.
    pub fn key(&self) -> PriceListKey {
        (self.event.clone(), self.list.clone(), self.version)
    }
}

/// The price of hints that have none of their own is that of this one.
const ANY: Id = Id::const_new("*");

/// What is charged by its own price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Input,
    Output,
    Cached,
    VmSecond,
    Hint,
}

impl Kind {
    fn of(name: &str) -> Option<Kind> {
        Some(match name {
            "input" => Kind::Input,
            "output" => Kind::Output,
            "cached" => Kind::Cached,
            "vm_second" => Kind::VmSecond,
            "hint" => Kind::Hint,
            _ => return None,
        })
    }

    /// How many of what is measured make a unit of the price.
    fn measured_per_unit(self) -> i128 {
        match self {
            Kind::VmSecond => 1_000,
            Kind::Input | Kind::Output | Kind::Cached | Kind::Hint => 1,
        }
    }
}

/// One version of a list, with its prices by what they are for. Of two for the same, the later one holds.
#[derive(Clone, Debug)]
struct Version {
    from_minute: i64,
    version: u64,
    prices: BTreeMap<(Id, Kind), Price>,
}

/// All price lists of a tenant.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// By event, then by name; versions in the order in which they come in force.
    lists: BTreeMap<Option<Id>, BTreeMap<Id, Vec<Version>>>,
    currency: Option<Id>,
}

/// The price of a kind at a minute, with the list and version that it is from.
struct Found<'a> {
    price: &'a Price,
    list: &'a Id,
    version: &'a Version,
}

impl Book {
    /// Of these lists, in any order.
    pub fn new<'a>(lists: impl IntoIterator<Item = &'a PriceList>) -> Book {
        let mut lists: Vec<&PriceList> = lists.into_iter().collect();
        lists.sort_by_key(|list| (list.from_minute, list.version, &list.list, &list.event));
        let currency = lists.first().map(|list| list.currency.clone());
        let mut book = Book { currency, ..Book::default() };
        for list in lists {
            if Some(&list.currency) != book.currency.as_ref() {
                continue;
            }
            let prices = list.prices.iter();
            let prices = prices.filter_map(|p| Some(((p.model.clone(), Kind::of(&p.kind)?), p.clone()))).collect();
            let version = Version { from_minute: list.from_minute, version: list.version, prices };
            let of_event = book.lists.entry(list.event.clone()).or_default();
            of_event.entry(list.list.clone()).or_default().push(version);
        }
        book
    }

    /// The currency of its charges; None: there are no prices.
    pub fn currency(&self) -> Option<&Id> {
        self.currency.as_ref()
    }

    /// Whether what an item costs depends on how much of it was used before in the month.
    pub fn has_tiers(&self, item: &Item) -> bool {
        let versions = self.lists.values().flat_map(BTreeMap::values).flatten();
        let mut prices = versions.flat_map(|v| v.prices.iter());
        prices.any(|((model, kind), price)| {
            let is_for = model == item.name() || (*kind == Kind::Hint && model == ANY && matches!(item, Item::Hint(_)));
            is_for && !price.tiers.is_empty()
        })
    }

    fn find(&self, event: Option<&Id>, item: &Id, kind: Kind, minute: i64) -> Option<Found<'_>> {
        let event = event.filter(|event| self.lists.contains_key(&Some((*event).clone())));
        let lists = self.lists.get(&event.cloned())?;
        let key = (item.clone(), kind);
        let in_force = lists.iter().filter_map(|(list, versions)| {
            let version = &versions[versions.partition_point(|v| v.from_minute <= minute).checked_sub(1)?];
            Some(Found { price: version.prices.get(&key)?, list, version })
        });
        in_force.max_by_key(|f| (f.version.from_minute, f.version.version, f.list))
    }

    /// What cells of one item of one tenant cost. `cells` are in the order of minute, event, team and lab; where the item has
    /// tiers they are all those of the months that they are of.
    pub fn charge<'a>(&self, cells: impl IntoIterator<Item = (&'a Cell, &'a Usage)>) -> Vec<(Cell, Charged)> {
        let mut used = Used::default();
        let charged = cells.into_iter().map(|(cell, usage)| {
            used.enter(month_of(cell.minute));
            let charge = |found: &Found<'_>, kind, measured| {
                let before = used.add(found.list, kind, measured);
                cost(found.price, kind, before, measured)
            };
            (cell.clone(), self.charge_cell(cell, usage, charge))
        });
        charged.collect()
    }

    /// What a cell costs when so much of its item was used in the month before: by whichever list, since that is not told.
    pub fn charge_after(&self, cell: &Cell, usage: &Usage, before: &Usage) -> Charged {
        self.charge_cell(cell, usage, |found, kind, measured| {
            let before = match kind {
                Kind::Input => before.input_tokens.saturating_sub(before.cached_tokens),
                Kind::Output => before.output_tokens,
                Kind::Cached => before.cached_tokens,
                Kind::VmSecond => before.duration_ms,
                Kind::Hint => before.records,
            };
            cost(found.price, kind, i128::from(before), measured)
        })
    }

    /// The most that a cell can cost, whatever was used before: each unit at the price of its dearest tier.
    pub fn charge_at_most(&self, cell: &Cell, usage: &Usage) -> Charged {
        self.charge_cell(cell, usage, |found, kind, measured| {
            let tiers = found.price.tiers.iter().map(|tier| tier.micro_per_million);
            let micro_per_million = tiers.fold(found.price.micro_per_million, i64::max);
            cost(&Price { micro_per_million, tiers: Vec::new(), ..found.price.clone() }, kind, 0, measured)
        })
    }

    fn charge_cell(&self, cell: &Cell, usage: &Usage, mut charge: impl FnMut(&Found<'_>, Kind, i64) -> i64) -> Charged {
        let mut charged = Charged { usage: *usage, ..Charged::default() };
        let mut newest = None;
        let item = cell.item.name();
        let event = cell.event.as_ref();
        let mut add = |kind: Kind, measured: i64, or_else: Option<Kind>| {
            if measured == 0 {
                return;
            }
            let found = self.find(event, item, kind, cell.minute);
            let found = found.or_else(|| self.find(event, item, or_else?, cell.minute));
            let found = found.or_else(|| self.find(event, &ANY, kind, cell.minute).filter(|_| kind == Kind::Hint));
            let Some(found) = found else {
                charged.unpriced = true;
                return;
            };
            charged.cost_micro = charged.cost_micro.saturating_add(charge(&found, kind, measured));
            newest = newest.clone().max(Some((found.version.from_minute, found.version.version, found.list.clone())));
        };
        match cell.item {
            Item::Model(_) => {
                add(Kind::Input, usage.input_tokens.saturating_sub(usage.cached_tokens), None);
                add(Kind::Cached, usage.cached_tokens, Some(Kind::Input));
                add(Kind::Output, usage.output_tokens, None);
            }
            Item::Machine(_) => add(Kind::VmSecond, usage.duration_ms, None),
            Item::Hint(_) => add(Kind::Hint, usage.records, None),
        }
        charged.prices = newest.map(|(_, version, list)| (list, version));
        charged
    }
}

/// What was used of each list and kind in the month so far.
#[derive(Default)]
struct Used {
    month: Option<i64>,
    measured: BTreeMap<(Id, Kind), i128>,
}

impl Used {
    fn enter(&mut self, month: i64) {
        if self.month != Some(month) {
            self.month = Some(month);
            self.measured.clear();
        }
    }

    /// How much it was before this.
    fn add(&mut self, list: &Id, kind: Kind, measured: i64) -> i128 {
        let sum = self.measured.entry((list.clone(), kind)).or_default();
        let before = *sum;
        *sum += i128::from(measured);
        before
    }
}

/// What `measured` costs after `before` of the same, in micro-units.
fn cost(price: &Price, kind: Kind, before: i128, measured: i64) -> i64 {
    let per_unit = kind.measured_per_unit();
    let after = before + i128::from(measured);
    // Each price holds from its mark to the next one.
    let marks = price.tiers.iter().map(|tier| (i128::from(tier.above_units) * per_unit, tier.micro_per_million));
    let mut marks = std::iter::once((0, price.micro_per_million)).chain(marks).peekable();
    let mut sum: i128 = 0;
    while let Some((from, micro_per_million)) = marks.next() {
        let to = marks.peek().map_or(i128::MAX, |next| next.0);
        let part = after.min(to) - before.max(from);
        if part > 0 {
            sum += part * i128::from(micro_per_million);
        }
    }
    let million = 1_000_000 * per_unit;
    i64::try_from((sum + million / 2).div_euclid(million)).unwrap_or(i64::MAX)
}

/// The number of the calendar month (UTC) of a minute since 1970: year times twelve plus month. By Howard Hinnant's
/// `civil_from_days`.
pub fn month_of(minute: i64) -> i64 {
    let days = minute.div_euclid(1_440) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin with March here, so that the leap day is their last.
    let month = (5 * day_of_year + 2) / 153;
    (year_of_era + era * 400) * 12 + month + 2
}

/// The first minute of such a month. By Howard Hinnant's `days_from_civil`.
pub fn first_minute_of(month: i64) -> i64 {
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) * 1_440
}

#[cfg(test)]
mod tests {
    use super::*;
    use gravity_events::body::PriceTier;

    fn price(model: &str, kind: &str, micro_per_million: i64) -> Price {
        Price { model: model.into(), kind: kind.into(), micro_per_million, tiers: Vec::new() }
    }

    fn list(name: &str, version: u64, from_minute: i64, prices: Vec<Price>) -> PriceList {
        PriceList { list: name.into(), version, event: None, currency: "EUR".into(), from_minute, prices }
    }

    fn cell(minute: i64, event: Option<&str>) -> Cell {
        let item = Item::Model("m".into());
        Cell { tenant: "t".into(), item, minute, event: event.map(Id::from), team: None, lab: None, reserved: false }
    }

    fn tokens(input_tokens: i64, output_tokens: i64, cached_tokens: i64) -> Usage {
        Usage { records: 1, input_tokens, output_tokens, cached_tokens, duration_ms: 0 }
    }

    fn cost_of(book: &Book, cell: Cell, usage: Usage) -> (i64, Option<u64>, bool) {
        let charged = book.charge([(&cell, &usage)]).remove(0).1;
        (charged.cost_micro, charged.prices.map(|p| p.1), charged.unpriced)
    }

    #[test]
    fn tokens_cost_by_kind_and_cached_ones_are_part_of_the_input() {
        let prices = vec![price("m", "input", 3_000_000), price("m", "output", 15_000_000)];
        let book = Book::new(&[list("l", 1, 0, prices.clone())]);
        assert_eq!(cost_of(&book, cell(5, None), tokens(100, 10, 40)), (450, Some(1), false));
        let cached = [prices, vec![price("m", "cached", 300_000)]].concat();
        let book = Book::new(&[list("l", 1, 0, cached)]);
        assert_eq!(cost_of(&book, cell(5, None), tokens(100, 10, 40)), (180 + 12 + 150, Some(1), false));
    }

    #[test]
    fn machines_cost_by_the_second_rounded_half_up() {
        let book = Book::new(&[list("l", 1, 0, vec![price("vm", "vm_second", 1_500_000)])]);
        let machine = |duration_ms| {
            let usage = Usage { records: 1, duration_ms, ..Usage::default() };
            cost_of(&book, Cell { item: Item::Machine("vm".into()), ..cell(0, None) }, usage).0
        };
        assert_eq!([machine(1_000), machine(1), machine(333), machine(334), machine(60_000)], [2, 0, 0, 1, 90]);
    }

    #[test]
    fn hints_cost_by_the_piece_and_some_have_a_price_of_their_own() {
        // 50 cents, and 2 units: a price is for a million.
        let prices = vec![price("*", "hint", 500_000_000_000), price("big", "hint", 2_000_000_000_000)];
        let book = Book::new(&[list("l", 1, 0, prices)]);
        let hint = |name: &str, records| {
            let usage = Usage { records, ..Usage::default() };
            cost_of(&book, Cell { item: Item::Hint(name.into()), ..cell(0, None) }, usage)
        };
        assert_eq!(hint("h", 3), (1_500_000, Some(1), false));
        assert_eq!(hint("big", 1), (2_000_000, Some(1), false));
        let model = cost_of(&book, cell(0, None), tokens(1, 0, 0));
        assert_eq!(model, (0, None, true), "other items do not have that price");
    }

    #[test]
    fn the_version_in_force_at_the_minute_replaces_the_others_whole() {
        let one = list("l", 1, 0, vec![price("m", "input", 1_000_000), price("m", "output", 1_000_000)]);
        let two = list("l", 2, 10, vec![price("m", "input", 2_000_000)]);
        let book = Book::new(&[two, one]);
        assert_eq!(cost_of(&book, cell(9, None), tokens(5, 5, 0)), (10, Some(1), false));
        assert_eq!(cost_of(&book, cell(10, None), tokens(5, 5, 0)), (10, Some(2), true), "no price for output");
        assert_eq!(cost_of(&book, cell(-1, None), tokens(5, 5, 0)), (0, None, true), "before the first");
    }

    #[test]
    fn an_events_lists_take_the_place_of_the_others() {
        let all = list("all", 1, 0, vec![price("m", "input", 1_000_000)]);
        let own = PriceList { event: Some("e".into()), ..list("own", 7, 0, vec![price("m", "input", 0)]) };
        let extra = list("extra", 1, 5, vec![price("m", "input", 9_000_000)]);
        let dollars = PriceList { currency: "USD".into(), ..list("us", 1, 6, vec![price("m", "input", 1)]) };
        let book = Book::new(&[all, own, extra, dollars]);
        let costs = [(4, None), (5, None), (6, None), (6, Some("e")), (4, Some("f"))];
        let costs = costs.map(|(minute, event)| cost_of(&book, cell(minute, event), tokens(10, 0, 0)).0);
        assert_eq!(costs, [10, 90, 90, 0, 10]);
        assert_eq!(book.currency().map(Id::as_str), Some("EUR"));
    }

    #[test]
    fn tiers_count_the_month_in_order() {
        let tiers = vec![
            PriceTier { above_units: 100, micro_per_million: 1_000_000 },
            PriceTier { above_units: 150, micro_per_million: 2_000_000 },
        ];
        let prices = vec![Price { tiers, ..price("m", "input", 0) }];
        let book = Book::new(&[list("l", 1, i64::MIN, prices)]);
        assert!(book.has_tiers(&Item::Model("m".into())) && !book.has_tiers(&Item::Model("n".into())));
        let january = 31 * 1_440;
        let cells: Vec<Cell> =
            [0, 1, 1, 2, january - 1, january].into_iter().map(|minute| cell(minute, None)).collect();
        let usage = tokens(60, 0, 0);
        let charged = book.charge(cells.iter().map(|cell| (cell, &usage)));
        let costs: Vec<i64> = charged.iter().map(|(_, charged)| charged.cost_micro).collect();
        assert_eq!(costs, [0, 20, 30 + 60, 120, 120, 0], "100 are granted; February begins anew");
    }

    #[test]
    fn one_call_costs_by_what_was_used_before_and_never_more_than_the_most() {
        let tiers = vec![
            PriceTier { above_units: 100, micro_per_million: 3_000_000 },
            PriceTier { above_units: 150, micro_per_million: 2_000_000 },
        ];
        let prices = vec![Price { tiers, ..price("m", "input", 0) }, price("m", "output", 5_000_000)];
        let book = Book::new(&[list("l", 1, i64::MIN, prices)]);
        let (cell, usage) = (cell(0, None), tokens(60, 1, 0));
        let after = |input| book.charge_after(&cell, &usage, &tokens(input, 7, 0)).cost_micro;
        assert_eq!([after(0), after(60), after(100), after(200)], [5, 65, 175, 125]);
        assert_eq!(book.charge_at_most(&cell, &usage).cost_micro, 185);
        assert!(book.charge_at_most(&Cell { item: Item::Model("n".into()), ..cell.clone() }, &usage).unpriced);
    }

    #[test]
    fn months_of_days() {
        let month = |days: i64| month_of(days * 1_440);
        assert_eq!(month(0), 1970 * 12);
        assert_eq!((month(-1), month(30), month(31)), (1969 * 12 + 11, 1970 * 12, 1970 * 12 + 1));
        assert_eq!(
            (month(11_016), month(11_017)),
            (2000 * 12 + 1, 2000 * 12 + 2),
            "29 February 2000, and the day after"
        );
        assert_eq!(month(20_785), 2026 * 12 + 10, "2026-11-28");
        for number in (1960 * 12..2110 * 12).chain(-24..24) {
            let first = first_minute_of(number);
            assert_eq!((month_of(first), month_of(first - 1)), (number, number - 1));
        }
    }
}
