//! A number of CPUs as the kernel states it: quota over period, an exact fraction. A float would
//! make `ceil(2 * cpus)` wrong by one worker somewhere, and nobody would ever find out where.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZero;

use serde::{Serialize, Serializer};

/// A number of CPUs above zero, exact.
///
/// Compares by value: 200000/100000 equals 2/1. Serialises as a float, prints as the shortest
/// decimal of at most five places.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    num: NonZero<u64>,
    den: NonZero<u64>,
}

impl Cpus {
    /// One CPU: what a machine has that tells nothing at all.
    pub const ONE: Cpus = Cpus { num: NonZero::<u64>::MIN, den: NonZero::<u64>::MIN };

    /// `quota / period`, in the same unit (the kernel's is microseconds). `None` where either is
    /// zero: the kernel accepts neither (its least quota is 1 ms).
    #[must_use]
    pub fn new(quota: u64, period: u64) -> Option<Cpus> {
        Some(Cpus { num: NonZero::new(quota)?, den: NonZero::new(period)? })
    }

    /// `count` whole CPUs; `None` for zero.
    #[must_use]
    pub fn whole(count: u32) -> Option<Cpus> {
        Cpus::new(u64::from(count), 1)
    }

    /// The least whole number that is not below, for thread counts. Saturates.
    #[must_use]
    pub fn ceil(self) -> u32 {
        self.ceil_times(1)
    }

    /// `ceil(factor * cpus)`, computed exactly. Saturates at `u32::MAX`.
    #[must_use]
    pub fn ceil_times(self, factor: u32) -> u32 {
        // u64 * u32 fits u128.
        let num = u128::from(self.num.get()).saturating_mul(u128::from(factor));
        u32::try_from(num.div_ceil(u128::from(self.den.get()))).unwrap_or(u32::MAX)
    }

    /// The nearest float, for output alone.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "output alone: decisions use the fraction")]
    pub fn as_f64(self) -> f64 {
        self.num.get() as f64 / self.den.get() as f64
    }
}

impl Ord for Cpus {
    fn cmp(&self, other: &Cpus) -> Ordering {
        // a/b < c/d where ad < cb. Products of two u64 fit u128.
        let ours = u128::from(self.num.get()).saturating_mul(u128::from(other.den.get()));
        let theirs = u128::from(other.num.get()).saturating_mul(u128::from(self.den.get()));
        ours.cmp(&theirs)
    }
}

impl PartialOrd for Cpus {
    fn partial_cmp(&self, other: &Cpus) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cpus {
    fn eq(&self, other: &Cpus) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cpus {}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let den = u128::from(self.den.get());
        let scaled = u128::from(self.num.get()).saturating_mul(100_000);
        // Rounded half up. The divisor is not zero, and so neither of these is None.
        let scaled = scaled.saturating_add(den >> 1).checked_div(den).unwrap_or(0);
        if scaled == 0 {
            // "0 CPUs" would be a lie. No kernel allows a quota this small.
            return write!(f, "{}/{}", self.num, self.den);
        }
        let (whole, mut rest) = (scaled / 100_000, scaled % 100_000);
        write!(f, "{whole}")?;
        if rest > 0 {
            let mut width = 5_usize;
            while rest % 10 == 0 {
                rest /= 10;
                width = width.saturating_sub(1);
            }
            write!(f, ".{rest:0width$}")?;
        }
        Ok(())
    }
}

impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow here fails the test, rightly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_the_shortest_decimal() {
        let shown = |num, den| Cpus::new(num, den).unwrap().to_string();
        assert_eq!(shown(200_000, 100_000), "2");
        assert_eq!(shown(150_000, 100_000), "1.5");
        assert_eq!(shown(1, 4), "0.25");
        assert_eq!(shown(1, 3), "0.33333");
        assert_eq!(shown(2, 3), "0.66667");
        assert_eq!(shown(1005, 1000), "1.005");
        assert_eq!(shown(999_999, 1_000_000), "1");
        assert_eq!(shown(1, u64::MAX), "1/18446744073709551615");
        assert_eq!(shown(u64::MAX, 1), "18446744073709551615");
    }

    /// Compares two fractions by their continued fractions: another algorithm than the code's.
    fn compare(a: (u64, u64), b: (u64, u64)) -> Ordering {
        match (a.0 / a.1).cmp(&(b.0 / b.1)) {
            Ordering::Equal => match (a.0 % a.1, b.0 % b.1) {
                (0, 0) => Ordering::Equal,
                (0, _) => Ordering::Less,
                (_, 0) => Ordering::Greater,
                (ra, rb) => compare((b.1, rb), (a.1, ra)),
            },
            decided => decided,
        }
    }

    proptest! {
        #[test]
        fn compares_exactly(a in 1..=u64::MAX, b in 1..=u64::MAX, c in 1..=u64::MAX, d in 1..=u64::MAX) {
            let (x, y) = (Cpus::new(a, b).unwrap(), Cpus::new(c, d).unwrap());
            prop_assert_eq!(x.cmp(&y), compare((a, b), (c, d)));
            prop_assert_eq!(x == y, compare((a, b), (c, d)) == Ordering::Equal);
        }

        #[test]
        fn small_fractions_compare_exactly(a in 1..20_u64, b in 1..20_u64, c in 1..20_u64, d in 1..20_u64) {
            let (x, y) = (Cpus::new(a, b).unwrap(), Cpus::new(c, d).unwrap());
            prop_assert_eq!(x.cmp(&y), compare((a, b), (c, d)));
        }

        #[test]
        fn neighbours_that_a_float_cannot_tell_apart(n in 1..u64::MAX) {
            let (x, y) = (Cpus::new(n, u64::MAX).unwrap(), Cpus::new(n + 1, u64::MAX).unwrap());
            prop_assert!(x < y && x != y);
        }

        #[test]
        fn ceil_is_the_least_integer_not_below(num in 1..1_000_000_000_u64, den in 1..1_000_000_u64, k in 1..50_u32) {
            let n = u64::from(Cpus::new(num, den).unwrap().ceil_times(k));
            prop_assume!(n < u64::from(u32::MAX));
            prop_assert!(n * den >= num * u64::from(k));
            prop_assert!((n - 1) * den < num * u64::from(k));
        }
    }
}
