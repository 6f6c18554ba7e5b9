//! Fingerprints of a source: hashes of its k-grams, thinned out by winnowing.

use serde::{Deserialize, Serialize};

use super::tokens::{Family, Token, tokens};

/// How fine fingerprints are. Any stretch of `window + k - 1` tokens that two sources share gives them one in common; none
/// shorter than `k` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fineness {
    /// Tokens of a k-gram.
    pub k: u16,
    /// Hashes of which one is kept.
    pub window: u16,
}

impl Default for Fineness {
    /// Found on half of the generated programs of the tests.
    fn default() -> Self {
        Fineness { k: 9, window: 4 }
    }
}

/// The fingerprints of a source text, sorted, each once.
pub fn fingerprint(language: &str, text: &str, fineness: Fineness) -> Vec<u64> {
    let tokens = tokens(Family::of(language), text);
    let mut kept = winnow(&hashes(&tokens, fineness.k), fineness.window);
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// Base of the polynomial: any large odd number does; this one is kept for ever, because fingerprints are stored.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

/// The hash of each k-gram: a polynomial over its tokens modulo 2^64, rolled from one to the next, its bits mixed at last
/// (SplitMix64), so that the least hash is an arbitrary one.
fn hashes(tokens: &[Token], k: u16) -> Vec<u64> {
    let k = usize::from(k.max(1));
    if tokens.len() < k {
        return Vec::new();
    }
    let first_weight = (1..k).fold(1_u64, |weight, _| weight.wrapping_mul(BASE));
    let add = |hash: u64, token: Token| hash.wrapping_mul(BASE).wrapping_add(u64::from(token) + 1);
    let mut hash = tokens[..k].iter().fold(0, |hash, token| add(hash, *token));
    let mut out = vec![mixed(hash)];
    for (gone, come) in tokens.iter().zip(&tokens[k..]) {
        let without = hash.wrapping_sub((u64::from(*gone) + 1).wrapping_mul(first_weight));
        hash = add(without, *come);
        out.push(mixed(hash));
    }
    out
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Of every window of hashes the least one, the rightmost of equals. A source shorter than a window gives its least.
fn winnow(hashes: &[u64], window: u16) -> Vec<u64> {
    let window = usize::from(window.max(1)).min(hashes.len().max(1));
    let mut kept = Vec::new();
    let mut last = None;
    for from in 0..(hashes.len() + 1).saturating_sub(window) {
        let least = (from..from + window).rev().min_by_key(|at| hashes[*at]);
        if let Some(least) = least.filter(|at| last != Some(*at)) {
            kept.push(hashes[least]);
            last = Some(least);
        }
    }
    kept
}

/// How much of the smaller of two sources is in the other one, in basis points: shared fingerprints by the smaller number
/// of them, both without the template's. Sorted sets, as [`fingerprint`] gives them.
pub fn containment_bp(a: &[u64], b: &[u64], template: &[u64]) -> u32 {
    let own = |set: &[u64]| set.iter().filter(|f| template.binary_search(f).is_err()).copied().collect::<Vec<u64>>();
    let (a, b) = (own(a), own(b));
    let shared = a.iter().filter(|f| b.binary_search(f).is_ok()).count();
    share_bp(shared as u64, a.len().min(b.len()) as u64)
}

/// A share in basis points, rounded down; nothing of nothing is 0.
pub fn share_bp(part: u64, whole: u64) -> u32 {
    u32::try_from((part * 10_000).checked_div(whole).unwrap_or(0)).unwrap_or(10_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::dice::Dice;

    fn set(tokens: &[Token], fineness: Fineness) -> Vec<u64> {
        let mut kept = winnow(&hashes(tokens, fineness.k), fineness.window);
        kept.sort_unstable();
        kept
    }

    #[test]
    fn a_shared_stretch_that_is_long_enough_is_always_found() {
        let mut dice = Dice::new(3);
        for _ in 0..300 {
            let fineness = Fineness { k: 2 + dice.below(8) as u16, window: 1 + dice.below(8) as u16 };
            let random = |dice: &mut Dice, n: u64| (0..n).map(|_| dice.below(4_000) as Token).collect::<Vec<_>>();
            let stretch = random(&mut dice, u64::from(fineness.k + fineness.window - 1));
            let mut around = || {
                let (before, after) = (dice.below(30), dice.below(30));
                [random(&mut dice, before), stretch.clone(), random(&mut dice, after)].concat()
            };
            let (a, b) = (set(&around(), fineness), set(&around(), fineness));
            assert!(a.iter().any(|f| b.binary_search(f).is_ok()), "{fineness:?}");
        }
    }

    #[test]
    fn nothing_shorter_than_a_gram_is() {
        let fineness = Fineness { k: 5, window: 3 };
        let (a, b): (Vec<Token>, Vec<Token>) = ((0..40).collect(), (0..4).chain(100..140).collect());
        assert!(set(&a, fineness).iter().all(|f| !set(&b, fineness).contains(f)));
        assert!(set(&[1, 2, 3], fineness).is_empty());
    }

    #[test]
    fn fingerprints_are_what_they_always_were() {
        let said = fingerprint(
            "cpp",
            "int main() { int n; cin >> n; while (n--) { cout << n * 2; } return 0; }",
            Fineness { k: 5, window: 4 },
        );
        assert_eq!(said.len(), 11);
        assert_eq!(said[..2], GOLDEN);
    }

    /// Stored fingerprints rely on it.
    const GOLDEN: [u64; 2] = [624_092_271_057_902_679, 1_276_629_667_260_174_778];

    #[test]
    fn templates_count_neither_above_nor_below() {
        assert_eq!(containment_bp(&[1, 2, 3, 4], &[2, 3, 9], &[]), 6_666);
        assert_eq!(containment_bp(&[1, 2, 3, 4], &[2, 3, 9], &[2]), 5_000);
        assert_eq!(containment_bp(&[1], &[1], &[1]), 0);
    }
}
