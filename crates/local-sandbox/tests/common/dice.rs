//! Choices at random that can be made again.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A generator with a seed (SplitMix64). The seed is in what a failed test prints: `METERBOX_SEED` takes it again.
#[derive(Debug)]
pub(crate) struct Dice {
    pub(crate) seed: u64,
    state: u64,
}

impl Dice {
    pub(crate) fn new() -> Self {
        let given = std::env::var("METERBOX_SEED").ok();
        let seed = given.map_or_else(
            || RandomState::new().build_hasher().finish(),
            |seed| seed.parse().expect("METERBOX_SEED is a number"),
        );
        Self { seed, state: seed }
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % most as u64).unwrap()
    }
}
