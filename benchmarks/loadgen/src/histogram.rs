//! Counts of durations in buckets that grow with the duration: at most 1.6 % wide.

use std::time::Duration;

/// Buckets for each power of two.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// How often each duration, in nanoseconds, was seen.
#[derive(Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub fn new() -> Self {
        let last = Self::bucket(u64::MAX);
        Self {
            buckets: vec![0; last + 1],
            count: 0,
        }
    }

    /// Below STEPS each value has a bucket of its own; above, each power of two has STEPS of them.
    fn bucket(nanoseconds: u64) -> usize {
        let shift = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(STEP_BITS + 1);
        let bucket = u64::from(shift) * STEPS + (nanoseconds >> shift);
        usize::try_from(bucket).unwrap_or(usize::MAX)
    }

    /// The smallest value of a bucket.
    fn floor(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        if bucket < 2 * STEPS {
            return bucket;
        }
        let shift = bucket / STEPS - 1;
        (bucket - shift * STEPS) << shift
    }

    pub fn record(&mut self, duration: Duration) {
        self.record_nanoseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    fn record_nanoseconds(&mut self, nanoseconds: u64) {
        self.buckets[Self::bucket(nanoseconds)] += 1;
        self.count += 1;
    }

    /// Count what the other has counted too.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += count;
        }
        self.count += other.count;
    }

    /// Count and quantiles, as members of a JSON object.
    pub fn members(&self) -> String {
        format!(
            r#""messages": {}, "p50_ns": {}, "p99_ns": {}, "p999_ns": {}"#,
            self.count,
            self.quantile(500),
            self.quantile(990),
            self.quantile(999),
        )
    }

    /// The value that `per_thousand` of the recorded ones do not exceed, 0 without any.
    pub fn quantile(&self, per_thousand: u64) -> u64 {
        let wanted = (self.count * per_thousand).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Self::floor(bucket);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::{Histogram, STEPS};

    #[test]
    fn floors_are_exact_or_close_below() {
        let mut value = 0_u64;
        while value < u64::MAX / 3 {
            let floor = Histogram::floor(Histogram::bucket(value));
            assert!(floor <= value, "{floor} is above {value}");
            assert!(
                (value - floor) <= value / STEPS,
                "{floor} is far below {value}"
            );
            value = value * 2 + value / 3 + 1;
        }
    }

    #[test]
    fn buckets_follow_each_other() {
        for bucket in 1..Histogram::new().buckets.len() {
            let first = Histogram::floor(bucket);
            assert_eq!(Histogram::bucket(first), bucket);
            assert_eq!(Histogram::bucket(first - 1), bucket - 1);
        }
    }

    #[test]
    fn quantiles_of_a_thousand_values() {
        let mut histogram = Histogram::new();
        for value in 1..=1000 {
            histogram.record_nanoseconds(value * 1000);
        }
        assert_eq!(histogram.count, 1000);
        for (per_thousand, exact) in [(500, 500_000), (990, 990_000), (999, 999_000)] {
            let found = histogram.quantile(per_thousand);
            assert!(
                found <= exact && exact - found <= exact / STEPS,
                "{found} for {exact}"
            );
        }
    }

    #[test]
    fn added_values_count_as_recorded_ones() {
        let (mut all, mut some) = (Histogram::new(), Histogram::new());
        for value in 1..=999 {
            all.record_nanoseconds(value);
        }
        some.record_nanoseconds(5_000_000);
        all.add(&some);
        assert_eq!(all.count, 1000);
        assert!(all.quantile(999) < 1000);
        assert!(all.quantile(1000) > 4_900_000);
    }

    #[test]
    fn empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::new().quantile(500), 0);
    }
}
