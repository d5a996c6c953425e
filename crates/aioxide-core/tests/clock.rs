//! Conversions between Python's seconds and nanoseconds.
#![allow(clippy::float_cmp, clippy::unwrap_used, missing_docs)] // Floats must be equal to the last bit here.

use aioxide_core::clock::{NEVER, delay_to_ns, ns_to_seconds, seconds_to_ns};
use proptest::prelude::*;

/// 97 days in nanoseconds: below, no two readings share a float.
const DISTINCT: u64 = 8_388_608_000_000_000;

const READINGS: [(u64, f64); 10] = [
    (960_568, 0.000_960_568),
    (3_497_770, 0.003_497_77),
    (5_242_047, 0.005_242_047),
    (14_081_254, 0.014_081_254),
    (83_713_345, 0.083_713_345),
    (140_200_424, 0.140_200_424),
    (795_168_624, 0.795_168_624),
    (58_820_763_460_541_090, 58_820_763.460_541_084),
    (82_931_647_201_268_567, 82_931_647.201_268_55),
    (991_160_071_310_749_875, 991_160_071.310_749_8),
];

/// The exact `seconds * 1e9`, rounded up, by integer arithmetic on the float's parts.
fn exact(seconds: f64) -> u128 {
    let bits = seconds.to_bits();
    let (exponent, fraction) = (bits >> 52, u128::from(bits & ((1 << 52) - 1)));
    let mantissa = if exponent == 0 {
        fraction
    } else {
        fraction | 1 << 52
    };
    let shift = i64::try_from(exponent.max(1)).unwrap() - 1075;
    let product = mantissa * 1_000_000_000;
    match u32::try_from(shift) {
        Ok(left) => product << left,
        Err(_) if shift < -120 => u128::from(product > 0),
        Err(_) => product.div_ceil(1 << -shift),
    }
}

/// How far apart floats are that are as large as this integer.
fn float_distance(integer: u128) -> u128 {
    1 << (128 - integer.leading_zeros()).saturating_sub(53)
}

fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![
        0.0..1.0,
        0.0..1e4,
        0.0..8_388_608.0,
        8_388_608.0..1e10,
        (0..u64::MAX).prop_map(ns_to_seconds),
        // The floats beside a reading: the least that it must be told apart from.
        (0..DISTINCT).prop_map(|ns| ns_to_seconds(ns).next_up()),
        (1..1_000_000_000_u64).prop_map(|ns| ns_to_seconds(ns).next_up()),
        (1..1_000_000_000_u64).prop_map(|ns| ns_to_seconds(ns).next_down()),
        // A reading and a delay added, as call_later does.
        (0..DISTINCT / 2, 0.0..1e6).prop_map(|(now, delay)| ns_to_seconds(now) + delay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn never_early(seconds in seconds()) {
        let ns = seconds_to_ns(seconds).unwrap();
        prop_assert!(ns == NEVER || ns_to_seconds(ns) >= seconds);
    }

    #[test]
    fn no_later_than_need_be(seconds in seconds()) {
        let ns = seconds_to_ns(seconds).unwrap();
        prop_assert!(ns == 0 || seconds >= 8_388_608.0 || ns_to_seconds(ns - 1) < seconds);
    }

    #[test]
    fn at_most_a_rounding_away_from_the_exact_value(seconds in seconds()) {
        let ns = u128::from(seconds_to_ns(seconds).unwrap());
        let exact = exact(seconds).min(NEVER.into());
        if seconds < 8_388_608.0 {
            prop_assert!(ns <= exact && exact <= ns + 1, "{ns} {exact}");
        } else {
            prop_assert!(ns >= exact, "{ns} {exact}");
            let distance = float_distance(exact);
            prop_assert!(ns - exact < distance, "{ns} {exact} {distance}");
        }
    }

    #[test]
    fn a_reading_converts_back_to_itself(ns in 0..DISTINCT) {
        prop_assert_eq!(seconds_to_ns(ns_to_seconds(ns)), Some(ns));
    }

    #[test]
    fn order_is_kept_among_neighbours(seconds in seconds()) {
        prop_assert!(seconds_to_ns(seconds) <= seconds_to_ns(seconds.next_up()));
    }

    #[test]
    fn order_is_kept(one in seconds(), other in seconds()) {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        prop_assert!(seconds_to_ns(first) <= seconds_to_ns(second));
    }
}

#[test]
fn readings_are_those_of_cpython() {
    // `PyTime_AsSecondsDouble` of CPython 3.13, for counts where other ways of computing differ.
    for (ns, seconds) in READINGS {
        assert_eq!(ns_to_seconds(ns), seconds);
    }
}

#[test]
fn the_edges() {
    assert_eq!(seconds_to_ns(0.0), Some(0));
    assert_eq!(seconds_to_ns(-0.0), Some(0));
    assert_eq!(seconds_to_ns(f64::from_bits(1)), Some(1));
    assert_eq!(seconds_to_ns(1e-9), Some(1));
    assert_eq!(seconds_to_ns(1.0), Some(1_000_000_000));
    assert_eq!(seconds_to_ns(0.1), Some(100_000_000));
    for negative in [-1e-300, -1.5, -1e300, f64::NEG_INFINITY] {
        assert_eq!(seconds_to_ns(negative), Some(0));
    }
    for huge in [1.9e10, 1e300, f64::MAX, f64::INFINITY] {
        assert_eq!(seconds_to_ns(huge), Some(NEVER));
    }
    assert_eq!(seconds_to_ns(f64::NAN), None);
    assert_eq!(seconds_to_ns(-f64::NAN), None);
}

proptest! {
    /// A delay is over when Python's own sum of clock and delay has come, but for that sum's rounding.
    #[test]
    fn a_delay_is_not_short(now in 0_u64..8_000_000_000_000_000, delay in 0.0..1e6_f64) {
        let deadline = delay_to_ns(now, delay).expect("no NaN");
        let when = ns_to_seconds(now) + delay;
        // One nanosecond is asyncio's own tolerance, the resolution of the clock.
        prop_assert!(ns_to_seconds(deadline + 1) >= when);
        prop_assert!(ns_to_seconds(deadline) <= when + 4e-9);
    }

    /// Longer delays end later.
    #[test]
    fn delays_keep_their_order(now in 0_u64..u64::MAX, one in -1.0..1e9_f64, other in -1.0..1e9_f64) {
        let (short, long) = if one <= other { (one, other) } else { (other, one) };
        prop_assert!(delay_to_ns(now, short) <= delay_to_ns(now, long));
    }
}

#[test]
fn delays_at_the_edges() {
    assert_eq!(delay_to_ns(5, f64::NAN), None);
    assert_eq!(delay_to_ns(5, -1.0), Some(5));
    assert_eq!(delay_to_ns(5, 0.0), Some(5));
    assert_eq!(delay_to_ns(5, 1e-12), Some(6));
    assert_eq!(delay_to_ns(5, 0.01), Some(10_000_005));
    assert_eq!(delay_to_ns(5, f64::INFINITY), Some(NEVER));
    assert_eq!(delay_to_ns(NEVER - 1, 60.0), Some(NEVER));
}
