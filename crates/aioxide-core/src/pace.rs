//! Which of two ways to receive large messages is taken: straight to where the bytes stay, or by way
//! of memory that moves.
//!
//! The first saves a copy, but where the bytes stay is the allocator's choice, and some places are
//! many times slower to copy to than others: see `RECEIVE_SHIFT` in `aioxide`'s `tuning.rs`. Nobody can
//! tell from the address, since it depends on the kernel's as well. So it is timed: where the straight
//! way is often much slower than usual, the other one is taken for a while.

/// The moving memory is used that often first, to know what is usual.
const LEARN: u32 = 8;
/// So many times the usual is slow. At a bad place it is five to ten times; one in a hundred is four
/// times without it.
const SLOW: u64 = 3;
/// What a slow one counts, beside one that is not: it costs sixteen times what the others save.
const WEIGHT: u32 = 16;
/// With that much the straight way is left: four slow ones soon after each other.
const ENOUGH: u32 = 4 * WEIGHT;
/// For so many times at first, then twice as many each time, up to the second.
const REST: (u32, u32) = (64, 4096);

/// What is not measured any more.
const SLOWEST: u64 = 1 << 40;

/// How long receiving takes, and what follows from it.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Nanoseconds for a mebibyte.
    usual: u64,
    /// So many are still looked at for the fastest, which is the first usual.
    learning: u32,
    slow: u32,
    /// So many times the moving memory is used before the straight way is tried again, and so many
    /// the next time.
    rest: u32,
    next_rest: u32,
    /// Straight ones since the last rest.
    straight: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            usual: SLOWEST,
            learning: LEARN,
            slow: 0,
            rest: LEARN,
            next_rest: REST.0,
            straight: 0,
        }
    }
}

impl Pace {
    /// Whether the next large message is received straight to where it stays.
    #[inline]
    pub fn is_straight(&self) -> bool {
        self.rest == 0
    }

    /// `bytes` were received into the moving memory in `nanos`.
    pub fn moved(&mut self, bytes: usize, nanos: u64) {
        let rate = rate(bytes, nanos);
        if self.learning > 0 {
            self.learning -= 1;
            self.usual = self.usual.min(rate);
        } else {
            self.follow(rate);
        }
        self.rest = self.rest.saturating_sub(1);
    }

    /// `bytes` were received straight in `nanos`.
    pub fn straight(&mut self, bytes: usize, nanos: u64) {
        let rate = rate(bytes, nanos);
        if rate / SLOW < self.usual {
            self.follow(rate);
            self.slow = self.slow.saturating_sub(1);
            self.straight = self.straight.saturating_add(1);
            return;
        }
        self.slow += WEIGHT;
        if self.slow >= ENOUGH {
            if self.straight > self.next_rest {
                self.next_rest = REST.0;
            }
            self.rest = self.next_rest;
            self.next_rest = (2 * self.next_rest).min(REST.1);
            (self.slow, self.straight) = (0, 0);
        }
    }

    /// A mean in which one that took very long counts no more than one of twice the usual.
    fn follow(&mut self, rate: u64) {
        let rate = rate.min(self.usual.saturating_mul(2));
        self.usual = (15 * self.usual + rate) / 16;
    }
}

/// Nanoseconds for a mebibyte, one at least.
fn rate(bytes: usize, nanos: u64) -> u64 {
    (nanos.saturating_mul(1 << 20) / (bytes as u64).max(1)).clamp(1, SLOWEST)
}
