//! Charges, incrementally, against a slow and obvious computation that prices one unit at a time.

mod meters;

use std::collections::BTreeMap;

use differential_dataflow::VecCollection;
use gravity_events::Id;
use gravity_events::body::{Price, PriceTier};
use gravity_events::burn::{Account, Cell, Charged, Item, Usage};
use gravity_operators::harness::dice::Dice;
use gravity_operators::harness::oracle::agree;
use gravity_operators::harness::run::Run;
use gravity_operators::harness::script::Script;
use gravity_operators::metering::accounts::unreserved;
use gravity_operators::metering::prices::PriceList;
use gravity_operators::metering::rate::{Rated, rate};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Given {
    Cell(Cell, Usage),
    List(Id, PriceList),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Said {
    Charged(Cell, Charged),
    Currency(Id, Id),
    Unreserved(Account, i64),
}

fn view(given: VecCollection<'_, u64, Given, i64>) -> VecCollection<'_, u64, Said, i64> {
    let cells = given.clone().flat_map(|g| match g {
        Given::Cell(cell, usage) => Some((cell, usage)),
        Given::List(..) => None,
    });
    let lists = given.flat_map(|g| match g {
        Given::List(tenant, list) => Some((tenant, list)),
        Given::Cell(..) => None,
    });
    let Rated { charged, currencies, .. } = rate(cells, lists);
    let unreserved = unreserved(charged.clone()).map(|(account, cost)| Said::Unreserved(account, cost));
    let said = charged.map(|(c, v)| Said::Charged(c, v)).concat(currencies.map(|(t, c)| Said::Currency(t, c)));
    said.concat(unreserved)
}

const MONTH: i64 = 44_640;

/// All from scratch, a unit at a time.
fn plain(given: &[Given]) -> Vec<Said> {
    let mut cells: Vec<(&Cell, &Usage)> = Vec::new();
    let mut lists: Vec<(&Id, &PriceList)> = Vec::new();
    for g in given {
        match g {
            Given::Cell(cell, usage) => cells.push((cell, usage)),
            Given::List(tenant, list) => lists.push((tenant, list)),
        }
    }
    let first = |tenant: &Id| {
        let of_tenant = lists.iter().filter(|(t, _)| *t == tenant).map(|(_, list)| *list);
        of_tenant.min_by_key(|list| (list.from_minute, list.version, &list.list, &list.event))
    };
    let mut said: Vec<Said> = Vec::new();
    let tenants: std::collections::BTreeSet<&Id> = lists.iter().map(|(tenant, _)| *tenant).collect();
    said.extend(
        tenants.iter().map(|t| Said::Currency((*t).clone(), first(t).expect("it has a list").currency.clone())),
    );
    // The lists in force for a cell.
    let price_of = |cell: &Cell, item: &str, kind: &str| -> Option<(&PriceList, &Price)> {
        let currency = &first(&cell.tenant)?.currency;
        let of_tenant: Vec<&PriceList> =
            lists.iter().filter(|(t, l)| **t == cell.tenant && l.currency == *currency).map(|(_, l)| *l).collect();
        let own = cell.event.is_some() && of_tenant.iter().any(|l| l.event == cell.event);
        let wanted = if own { cell.event.clone() } else { None };
        let mut in_force: BTreeMap<&Id, &PriceList> = BTreeMap::new();
        for list in of_tenant.into_iter().filter(|l| l.event == wanted && l.from_minute <= cell.minute) {
            let held = in_force.entry(&list.list).or_insert(list);
            if (list.from_minute, list.version) > (held.from_minute, held.version) {
                *held = list;
            }
        }
        let priced = in_force.values().filter_map(|list| {
            let price = list.prices.iter().rev().find(|p| p.model == *item && p.kind == kind)?;
            Some((*list, price))
        });
        priced.max_by_key(|(list, _)| (list.from_minute, list.version, &list.list))
    };
    let price = |cell: &Cell, kind: &str| {
        let any = || if kind == "hint" { price_of(cell, "*", kind) } else { None };
        price_of(cell, cell.item.name(), kind).or_else(any)
    };
    cells.sort();
    let mut used: BTreeMap<(Id, Item, i64, Id, &str), u64> = BTreeMap::new();
    for (cell, usage) in cells {
        let mut charged = Charged { usage: *usage, ..Charged::default() };
        let mut newest: Option<(i64, u64, Id)> = None;
        let kinds: &[(&str, i64, &str)] = match cell.item {
            Item::Model(_) => &[
                ("input", usage.input_tokens - usage.cached_tokens, "input"),
                ("cached", usage.cached_tokens, "input"),
                ("output", usage.output_tokens, "output"),
            ],
            Item::Machine(_) => &[("vm_second", usage.duration_ms, "vm_second")],
            Item::Hint(_) => &[("hint", usage.records, "hint")],
        };
        for (kind, amount, fallback) in kinds.iter().filter(|k| k.1 > 0) {
            let Some((list, price)) = price(cell, kind).or_else(|| price(cell, fallback)) else {
                charged.unpriced = true;
                continue;
            };
            let per_unit = if *kind == "vm_second" { 1_000 } else { 1 };
            let key = (cell.tenant.clone(), cell.item.clone(), cell.minute.div_euclid(MONTH), list.list.clone(), *kind);
            let so_far = used.entry(key).or_default();
            let mut millionths: u64 = 0;
            for _ in 0..*amount {
                // The price of this one unit: that of the highest mark below it.
                let tier = price.tiers.iter().rev().find(|tier| *so_far >= tier.above_units * per_unit);
                millionths += tier.map_or(price.micro_per_million, |t| t.micro_per_million) as u64;
                *so_far += 1;
            }
            charged.cost_micro += ((millionths + 500_000 * per_unit) / (1_000_000 * per_unit)) as i64;
            newest = newest.max(Some((list.from_minute, list.version, list.list.clone())));
        }
        charged.prices = newest.map(|(_, version, list)| (list, version));
        said.push(Said::Charged(cell.clone(), charged));
    }
    let mut spent: BTreeMap<Account, i64> = BTreeMap::new();
    for said in &said {
        if let Said::Charged(cell, charged) = said
            && !cell.reserved
        {
            let (tenant, event, team) = (cell.tenant.clone(), cell.event.clone(), cell.team.clone());
            let tenants = Account { tenant, event: None, team: None };
            let events = Account { event, ..tenants.clone() };
            let teams = Account { team, ..events.clone() };
            for account in std::collections::BTreeSet::from([tenants, events, teams]) {
                *spent.entry(account).or_default() += charged.cost_micro;
            }
        }
    }
    said.extend(spent.into_iter().map(|(account, cost)| Said::Unreserved(account, cost)));
    said
}

fn id(dice: &mut Dice, prefix: &str, n: u64) -> Id {
    format!("{prefix}{}", dice.below(n)).into()
}

fn maybe(dice: &mut Dice, prefix: &str, n: u64) -> Option<Id> {
    dice.chance(60).then(|| id(dice, prefix, n))
}

fn random_cell(dice: &mut Dice) -> (Cell, Usage) {
    let item = match dice.below(10) {
        0..6 => Item::Model(id(dice, "i", 2)),
        6..8 => Item::Machine(id(dice, "i", 2)),
        _ => Item::Hint(id(dice, "i", 2)),
    };
    // January 1970 has 44,640 minutes: the last of it, and the first of February.
    let minute = MONTH - 4 + dice.below(8) as i64;
    let (tenant, event, team) = (id(dice, "t", 2), maybe(dice, "e", 2), maybe(dice, "team", 2));
    let cell =
        Cell { tenant, item: item.clone(), minute, event, team, lab: maybe(dice, "lab", 1), reserved: dice.chance(30) };
    let mut amount = |n| dice.below(n) as i64;
    let usage = match item {
        Item::Model(_) => {
            let input_tokens = amount(12);
            let cached_tokens = amount(12).min(input_tokens);
            Usage { records: 1, input_tokens, output_tokens: amount(9), cached_tokens, duration_ms: 0 }
        }
        Item::Machine(_) => Usage { records: 1, duration_ms: amount(4_000), ..Usage::default() },
        Item::Hint(_) => Usage { records: 1 + amount(9), ..Usage::default() },
    };
    (cell, usage)
}

fn random_list(dice: &mut Dice) -> PriceList {
    let mut prices = Vec::new();
    for _ in 0..dice.below(7) {
        let mut tiers = Vec::new();
        let mut above_units = 0;
        for _ in 0..dice.below(3) * u64::from(dice.chance(40)) {
            above_units += 1 + dice.below(12);
            tiers.push(PriceTier { above_units, micro_per_million: dice.below(3_000_000) as i64 });
        }
        let kind = *dice.pick(&["input", "output", "cached", "vm_second", "hint"]);
        let micro_per_million = dice.below(3_000_000) as i64;
        let model = if dice.chance(15) { "*".into() } else { id(dice, "i", 2) };
        prices.push(Price { model, kind: kind.into(), micro_per_million, tiers });
    }
    PriceList {
        list: id(dice, "list", 2),
        version: dice.below(3),
        event: dice.chance(30).then(|| id(dice, "e", 2)),
        currency: if dice.chance(85) { "EUR".into() } else { "USD".into() },
        from_minute: if dice.chance(40) { i64::MIN } else { MONTH - 4 + dice.below(8) as i64 },
        prices,
    }
}

/// A list, `lists_pct` of the times, or a cell.
fn put_one(dice: &mut Dice, script: &mut Script<String, Given>, lists_pct: u64) {
    if dice.chance(lists_pct) {
        let (tenant, list) = (id(dice, "t", 2), random_list(dice));
        let key = format!("{tenant}/{:?}/{}/{}", list.event, list.list, list.version);
        script.put(key, Given::List(tenant, list));
    } else {
        let (cell, usage) = random_cell(dice);
        script.put(format!("{cell:?}"), Given::Cell(cell, usage));
    }
}

#[test]
fn incremental_charges_equal_those_from_scratch() {
    let mut said = 0;
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let mut script: Script<String, Given> = Script::default();
        for _ in 0..30 {
            for _ in 0..1 + dice.below(5) {
                put_one(&mut dice, &mut script, 15);
                if dice.chance(15) {
                    let keys: Vec<String> = script.now().keys().cloned().collect();
                    script.remove(dice.pick(&keys));
                }
            }
            script.end_epoch();
        }
        said += agree(script.epochs(), view, plain).iter().flatten().count();
    }
    assert!(said > 5_000, "{said}");
}

/// What other prices make of usage that was there, by tenant, item and month: records that cost otherwise are not counted here.
fn rerated(before: &[Given], lists_after: &[Given]) -> BTreeMap<(Id, Item, i64), (i64, i64)> {
    let cells = || before.iter().filter(|g| matches!(g, Given::Cell(..))).cloned();
    let charges = |lists: &[Given]| -> BTreeMap<Cell, i64> {
        let lists = lists.iter().filter(|g| matches!(g, Given::List(..))).cloned();
        let said = plain(&cells().chain(lists).collect::<Vec<_>>()).into_iter();
        said.filter_map(|said| if let Said::Charged(cell, c) = said { Some((cell, c.cost_micro)) } else { None })
            .collect()
    };
    let (old, new) = (charges(before), charges(lists_after));
    let mut sums: BTreeMap<(Id, Item, i64), (i64, i64)> = BTreeMap::new();
    for (cell, was) in old {
        let is = new[&cell];
        if was != is {
            let month = cell.minute.div_euclid(MONTH) * MONTH;
            let sum = sums.entry((cell.tenant, cell.item, month)).or_default();
            *sum = (sum.0 + was, sum.1 + is);
        }
    }
    sums
}

#[test]
fn an_adjustment_is_what_prices_changed_of_usage_that_was_there() {
    let mut adjusted = 0;
    for seed in 100..125 {
        let mut dice = Dice::new(seed);
        let mut script: Script<String, Given> = Script::default();
        let mut states: Vec<Vec<Given>> = vec![Vec::new()];
        for _ in 0..25 {
            for _ in 0..1 + dice.below(4) {
                put_one(&mut dice, &mut script, 20);
            }
            script.end_epoch();
            states.push(script.now().values().cloned().collect());
        }
        for workers in [1, 3] {
            let said = Run::workers(workers).drive(script.epochs(), |given| {
                let cells = given.clone().flat_map(|g| if let Given::Cell(c, u) = g { Some((c, u)) } else { None });
                let lists = given.flat_map(|g| if let Given::List(t, l) = g { Some((t, l)) } else { None });
                rate(cells, lists).adjustments
            });
            for (epoch, said) in said.into_iter().enumerate() {
                let mut told = BTreeMap::new();
                for (a, diff) in said {
                    assert!(diff == 1 && a.records > 0 && !a.prices.is_empty(), "{a:?}");
                    let key = (a.tenant, a.item, a.month);
                    assert_eq!(told.insert(key, (a.before_micro, a.after_micro)), None);
                }
                adjusted += told.len();
                assert_eq!(told, rerated(&states[epoch], &states[epoch + 1]), "seed {seed}, epoch {epoch}");
            }
        }
    }
    assert!(adjusted > 300, "{adjusted}");
}

#[test]
fn usage_alone_says_no_other_cell_again() {
    let mut dice = Dice::new(7);
    let mut script: Script<String, Given> = Script::default();
    for n in 0..200 {
        let (cell, usage) = random_cell(&mut dice);
        script.put(format!("{n}"), Given::Cell(Cell { minute: n, ..cell }, usage));
    }
    script.end_epoch();
    let (cell, usage) = random_cell(&mut dice);
    script.put("7".into(), Given::Cell(Cell { minute: 7, ..cell }, usage)).end_epoch();
    assert!(agree(script.epochs(), view, plain)[1].len() <= 2);
}
