//! A bounded memory of what a key's number is, for writers that ask for the same keys all day.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// Numbers by key. Keys are remembered as 128 keyed hash bits: no sender can make two of them meet.
pub(crate) struct NumberCache<N> {
    first: RandomState,
    second: RandomState,
    numbers: HashMap<u128, N>,
    capacity: usize,
}

impl<N: Copy> NumberCache<N> {
    /// Forgets everything once it holds `capacity` numbers (about 50 bytes each): the keys in use are back at once.
    pub(crate) fn new(capacity: usize) -> Self {
        NumberCache { first: RandomState::new(), second: RandomState::new(), numbers: HashMap::new(), capacity }
    }

    pub(crate) fn key<K: Hash + ?Sized>(&self, key: &K) -> u128 {
        (u128::from(self.first.hash_one(key)) << 64) | u128::from(self.second.hash_one(key))
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
