//! Chance that comes from a seed alone, so that the same seed gives the same answer on every machine.

/// SplitMix64: one 64-bit word of state, full period, fit for sampling.
///
/// Source: Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators", fig. 17 (constants of
/// MurmurHash3's finaliser as in `java.util.SplittableRandom`).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// A sequence of its own for each purpose, so that more draws for one leave the others as they were.
    pub(crate) fn new(seed: u64, purpose: u64) -> Chance {
        let mut chance = Chance(seed ^ purpose.wrapping_mul(0xD1B5_4A32_D192_ED03));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// In 0..1, 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In 0..below, which is at least 1. Multiplying instead of dividing favours no number by more than 2⁻⁶⁴ · `below`.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        ((u128::from(self.next()) * below as u128) >> 64) as usize
    }
}
