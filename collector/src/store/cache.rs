//! A bounded memory of what a key's number is, for writers that ask for the same keys all day.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

/// Numbers by key. Keys are remembered as 128 keyed hash bits: no sender can make two of them meet.
pub(crate) struct NumberCache<N> {
    state: RandomState,
    numbers: HashMap<u128, N, BuildHasherDefault<Hashed>>,
    capacity: usize,
}

impl<N: Copy> NumberCache<N> {
    /// Forgets everything once it holds `capacity` numbers (about 50 bytes each): the keys in use are back at once.
    pub(crate) fn new(capacity: usize) -> Self {
        NumberCache { state: RandomState::new(), numbers: HashMap::default(), capacity }
    }

    pub(crate) fn key<K: Hash + ?Sized>(&self, key: &K) -> u128 {
        let mut hasher = self.state.build_hasher();
        key.hash(&mut hasher);
        let first = hasher.finish();
        // Going on from the same 256 bits of state: both halves meet only where the whole state does.
        hasher.write_u8(1);
        (u128::from(first) << 64) | u128::from(hasher.finish())
    }

    pub(crate) fn get(&self, key: u128) -> Option<N> {
        self.numbers.get(&key).copied()
    }

    pub(crate) fn put(&mut self, key: u128, number: N) {
        if self.numbers.len() >= self.capacity {
            self.numbers.clear();
        }
        self.numbers.insert(key, number);
    }
}

/// The keys are hashes already: hashing them again would only cost time.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
