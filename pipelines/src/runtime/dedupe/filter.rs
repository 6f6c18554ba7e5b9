//! A blocked Bloom filter over identities: one cache line per question.
//!
//! The split-block filter of Putze, Sanders and Singler (as in Apache Parquet): the high half of an identity chooses a
//! block of 256 bits, the low half one bit in each of its eight words. At 12 bits per identity some 0.5 % of the unknown
//! ones pass.

/// Words of a block, 32 bytes.
const WORDS: usize = 8;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = WORDS * 4;
const BITS_PER_IDENTITY: u64 = 12;

/// Odd numbers that spread one number over eight words. Stored by what they make of it, so they never change.
const SALTS: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// The filter of one run.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter {
    blocks: Vec<[u32; WORDS]>,
}

impl Filter {
    /// An empty one for up to `n` identities.
    pub fn for_identities(n: u64) -> Filter {
        let blocks = (n * BITS_PER_IDENTITY).div_ceil(BLOCK_BYTES as u64 * 8).max(1);
        Filter { blocks: vec![[0; WORDS]; usize::try_from(blocks).expect("a filter fits into memory")] }
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Filter {
        let word = |w: &[u8]| u32::from_le_bytes(w.try_into().expect("4 bytes"));
        let block = |b: &[u8]| std::array::from_fn(|i| word(&b[i * 4..i * 4 + 4]));
        Filter { blocks: bytes.chunks_exact(BLOCK_BYTES).map(block).collect() }
    }

    /// The stored form: blocks of little endian words.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.blocks.iter().flatten().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn place(&self, id: u128) -> (usize, [u32; WORDS]) {
        let high = id >> 64;
        let low = (id >> 32) as u32;
        let block = (high * self.blocks.len() as u128) >> 64;
        (block as usize, SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 27)))
    }

    /// Bytes in memory, and on disk.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    /// Adds an identity.
    pub fn insert(&mut self, id: u128) {
        let (block, bits) = self.place(id);
        for (word, bit) in self.blocks[block].iter_mut().zip(bits) {
            *word |= bit;
        }
    }

    /// False: it was never added. True: it probably was.
    pub fn may_hold(&self, id: u128) -> bool {
        if self.blocks.is_empty() {
            return true;
        }
        let (block, bits) = self.place(id);
        self.blocks[block].iter().zip(bits).all(|(word, bit)| word & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gravity_events::record::stable_hash128;

    #[test]
    fn holds_what_was_added_and_little_else() {
        let id = |n: u32| stable_hash128(&[&n.to_le_bytes()]);
        let mut f = Filter::for_identities(20_000);
        (0..20_000).for_each(|n| f.insert(id(n)));
        let f = Filter::from_bytes(&f.to_bytes());
        assert!((0..20_000).all(|n| f.may_hold(id(n))));
        let wrong = (20_000..120_000).filter(|n| f.may_hold(id(*n))).count();
        assert!(wrong < 1_000, "{wrong} of 100,000 pass");
        assert!(!Filter::for_identities(0).may_hold(5));
    }

    #[test]
    fn the_stored_form_never_changes() {
        let mut f = Filter::for_identities(1);
        f.insert(u128::MAX / 3);
        let words: Vec<u32> = f.blocks[0].iter().map(|w| w.trailing_zeros()).collect();
        assert_eq!(words, SALTS.map(|s| 0x5555_5555_u32.wrapping_mul(s) >> 27));
    }
}
