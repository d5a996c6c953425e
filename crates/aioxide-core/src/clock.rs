//! Between Python's clock, seconds as `float`, and the loop's, nanoseconds as integers.
//!
//! The loop counts in whole nanoseconds of the monotonic clock, in which the kernel counts too. Python
//! programs see the same clock through `loop.time()`, as `time.monotonic()` gives it.

/// Nanoseconds on the monotonic clock. [`NEVER`] is later than any reading of it.
pub type Nanos = u64;

/// A deadline that does not come: 584 years after boot.
pub const NEVER: Nanos = Nanos::MAX;

const NS_PER_SECOND: f64 = 1e9;

/// Up to here, in seconds, two nanosecond readings never share a `float`: 97 days.
const DISTINCT_SECONDS: f64 = 8_388_608.0;

/// The clock reading as Python gives it.
///
/// `CPython` (checked on 3.6 to 3.15) divides the count by 1e9. Multiplying by 1e-9, or adding whole seconds and
/// fraction, gives other last digits for a large part of all readings.
#[inline]
#[allow(clippy::cast_precision_loss)] // The rounding is what Python does.
pub fn ns_to_seconds(ns: Nanos) -> f64 {
    ns as f64 / NS_PER_SECOND
}

/// The nanosecond at which a delay that begins at `now` is over; `None` for NaN.
///
/// The sum is made in nanoseconds, the delay rounded up: a delay is never short by more than the
/// rounding of Python's own `time() + delay`, less than a nanosecond below 97 days after boot. It
/// costs a multiplication, where [`seconds_to_ns`] of the sum costs divisions.
///
/// Negative delays end now. Infinity, and what does not fit, is [`NEVER`].
#[inline]
// `as` saturates, as documented, and what it cuts off is added again.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]
pub fn delay_to_ns(now: Nanos, delay: f64) -> Option<Nanos> {
    if delay.is_nan() {
        return None;
    }
    let exact = delay * NS_PER_SECOND;
    let mut ns = exact as u64;
    if (ns as f64) < exact {
        ns = ns.saturating_add(1);
    }
    Some(now.saturating_add(ns))
}

/// The nanosecond at which a deadline given in Python's seconds has come; `None` for NaN.
///
/// A timer that runs then is never early, `loop.time()` is not before its `when()` any more, and
/// deadlines keep their order:
///
/// - Below 97 days after boot this is the smallest `ns` with `ns_to_seconds(ns) >= seconds`. So it is not a
///   nanosecond later than need be, and a reading of the clock converts back to itself.
/// - Above, where several nanoseconds share a `float`, it is the exact value, rounded up to a number of
///   nanoseconds that is a `float` itself: for years after boot, some nanoseconds more.
///
/// Negative times are 0. Infinity, and what does not fit, is [`NEVER`].
#[inline]
// `as` saturates, as documented, and where it rounds that is meant or repaired.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]
pub fn seconds_to_ns(seconds: f64) -> Option<Nanos> {
    if seconds.is_nan() {
        return None;
    }
    // Whole seconds apart, because a product of the large number would be rounded. The product of the
    // fraction is exact above `DISTINCT_SECONDS` (30 bits times the 21 of 5^9), and elsewhere wrong
    // by less than a millionth, which may lead to the next integer.
    let whole = seconds.trunc();
    let fraction = ((seconds - whole) * NS_PER_SECOND).ceil();
    let Some(ns) = (whole as Nanos).checked_mul(1_000_000_000) else {
        return Some(NEVER);
    };
    let ns = ns.saturating_add(fraction as Nanos);
    if seconds >= DISTINCT_SECONDS {
        // To nanoseconds that are a float: dividing anything else by 1e9 rounds twice, and may give less
        // than `seconds`.
        let nearest = ns as f64;
        let is_below = (nearest as Nanos) < ns;
        Some(if is_below { nearest.next_up() } else { nearest } as Nanos)
    } else if ns > 0 && ns_to_seconds(ns - 1) >= seconds {
        Some(ns - 1)
    } else if ns_to_seconds(ns) < seconds {
        Some(ns + 1)
    } else {
        Some(ns)
    }
}
