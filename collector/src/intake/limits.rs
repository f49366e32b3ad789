//! Token buckets: one site's or one address's flood must not be felt by the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Events a second that a bucket refills with, and how many it holds.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Events per second; 0 means no limit.
    pub per_second: u32,
    /// Events that may come at once after a rest.
    pub burst: u32,
}

/// One bucket per key.
pub(crate) struct Buckets<K> {
    rate: Rate,
    levels: Mutex<HashMap<K, (f64, Instant)>>,
}

/// Buckets that are remembered; full ones are forgotten first.
const REMEMBERED: usize = 100_000;

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Buckets { rate, levels: Mutex::default() }
    }

    /// Takes `events` from the key's bucket. A bucket that is not empty gives all that is asked and goes into debt, so
    /// that a large batch is not refused for ever.
    ///
    /// # Errors
    /// How long to wait until the bucket has something again.
    pub(crate) fn take(&self, key: K, events: usize, now: Instant) -> Result<(), Duration> {
        if self.rate.per_second == 0 {
            return Ok(());
        }
        let (per_second, burst) = (f64::from(self.rate.per_second), f64::from(self.rate.burst.max(1)));
        let mut levels = self.levels.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if levels.len() >= REMEMBERED && !levels.contains_key(&key) {
            let refill = |at: Instant| now.saturating_duration_since(at).as_secs_f64() * per_second;
            levels.retain(|_, (level, at)| *level + refill(*at) < burst);
        }
        let (level, at) = levels.entry(key).or_insert((burst, now));
        *level = (*level + now.saturating_duration_since(*at).as_secs_f64() * per_second).min(burst);
        *at = now;
        if *level < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - *level) / per_second));
        }
        *level -= events.max(1) as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let buckets = Buckets::new(Rate { per_second: 10, burst: 20 });
        let start = Instant::now();
        assert_eq!(buckets.take("a", 20, start), Ok(()));
        let wait = buckets.take("a", 1, start).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(100), "{wait:?}");
        assert_eq!(buckets.take("b", 1, start), Ok(()), "another key has its own bucket");
        assert_eq!(buckets.take("a", 1, start + Duration::from_millis(150)), Ok(()));
        assert!(buckets.take("a", 1, start + Duration::from_millis(150)).is_err());
    }

    #[test]
    fn a_large_batch_goes_into_debt_instead_of_being_refused_for_ever() {
        let buckets = Buckets::new(Rate { per_second: 10, burst: 20 });
        let start = Instant::now();
        assert_eq!(buckets.take("a", 100, start), Ok(()));
        assert!(buckets.take("a", 1, start + Duration::from_secs(7)).is_err());
        assert_eq!(buckets.take("a", 1, start + Duration::from_millis(8_200)), Ok(()));
    }

    #[test]
    fn no_rate_means_no_limit() {
        let buckets = Buckets::new(Rate { per_second: 0, burst: 0 });
        for _ in 0..1000 {
            assert_eq!(buckets.take("a", 1000, Instant::now()), Ok(()));
        }
    }
}
