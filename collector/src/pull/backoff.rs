//! How long a connector waits after something went wrong.

use std::time::Duration;

/// The longest wait after the first failure.
const FIRST: Duration = Duration::from_secs(2);
/// The longest wait at all: an hour after a system is back, everything is as if it had never been away.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How long to wait after so many failures in a row: half of a time that doubles with each of them up to an hour, and
/// `chance` (0..1, what is outside counts as its nearest end) of the other half, so that many who failed together do not
/// come back together.
pub(crate) fn wait(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST);
    let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 1.0 };
    doubled / 2 + (doubled / 2).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_is_between_half_and_all_of_what_doubles_up_to_an_hour(failures in 0..u32::MAX, chance in 0.0..1.0_f64) {
            let doubled = 2_f64.powi(i32::try_from(failures.clamp(1, 40)).unwrap()).min(3_600.0);
            let waited = wait(failures, chance).as_secs_f64();
            prop_assert!(waited >= doubled / 2.0 - 1e-6 && waited <= doubled + 1e-6, "{waited} of {doubled}");
        }

        #[test]
        fn more_failures_never_wait_less_by_the_same_chance(failures in 1..60_u32, chance in 0.0..1.0_f64) {
            prop_assert!(wait(failures + 1, chance) >= wait(failures, chance));
        }

        #[test]
        fn any_chance_is_within_bounds(failures in 0..u32::MAX, chance in prop::num::f64::ANY) {
            prop_assert!((Duration::from_secs(1)..=LONGEST).contains(&wait(failures, chance)));
        }
    }
}
