//! Flow control of a writing transport: two watermarks and one bit.
//!
//! When more is buffered than the high mark, the protocol is asked to pause writing, once; when it
//! is paused and the buffer has shrunk to the low mark, to resume. asyncio looks for the first when
//! the buffer has grown or the marks were set, and for the second when it has shrunk; so does this.

use std::error::Error;
use std::fmt;

const DEFAULT_HIGH: i64 = 64 * 1024;

/// What to tell the protocol now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the protocol waits to hear it"]
pub enum Signal {
    /// Nothing.
    None,
    /// Call `pause_writing`.
    Pause,
    /// Call `resume_writing`.
    Resume,
}

/// Marks that contradict each other; its text is asyncio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsError {
    /// The high mark, given or derived.
    pub high: i64,
    /// The low mark, given or derived.
    pub low: i64,
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LimitsError { high, low } = self;
        write!(f, "high ({high}) must be >= low ({low}) must be >= 0")
    }
}

impl Error for LimitsError {}

/// The watermarks of one transport, and whether its protocol is paused.
#[derive(Clone, Copy, Debug)]
pub struct FlowControl {
    high: u64,
    low: u64,
    paused: bool,
}

impl FlowControl {
    /// Not paused, with asyncio's marks: 64 KiB and a quarter of that.
    pub const fn new() -> FlowControl {
        FlowControl {
            high: DEFAULT_HIGH.unsigned_abs(),
            low: DEFAULT_HIGH.unsigned_abs() / 4,
            paused: false,
        }
    }

    /// Sets the marks, with asyncio's defaults: low is a quarter of high, high is four times low, and both
    /// missing is as at the start. If they contradict each other the old ones stay.
    ///
    /// Tells nothing: [`on_grow`](FlowControl::on_grow) does, which asyncio calls after this.
    pub fn set_limits(&mut self, high: Option<i64>, low: Option<i64>) -> Result<(), LimitsError> {
        let high = match (high, low) {
            (Some(high), _) => high,
            (None, Some(low)) => low.saturating_mul(4),
            (None, None) => DEFAULT_HIGH,
        };
        // Rounded down as Python does, so that a negative high leads to a negative low.
        let low = low.unwrap_or(high.div_euclid(4));
        match (u64::try_from(high), u64::try_from(low)) {
            (Ok(unsigned_high), Ok(unsigned_low)) if high >= low => {
                self.high = unsigned_high;
                self.low = unsigned_low;
                Ok(())
            }
            _ => Err(LimitsError { high, low }),
        }
    }

    /// The marks as `get_write_buffer_limits` gives them: low, then high.
    pub const fn limits(&self) -> (u64, u64) {
        (self.low, self.high)
    }

    /// The high mark: up to so much waits without the protocol being paused.
    #[inline]
    pub const fn high(&self) -> u64 {
        self.high
    }

    /// Whether the protocol was asked to pause and not yet to resume.
    #[inline]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// The buffer has grown to this size, or the marks are new: `Pause` or `None`.
    #[inline]
    pub fn on_grow(&mut self, buffered: usize) -> Signal {
        if self.paused || buffered as u64 <= self.high {
            return Signal::None;
        }
        self.paused = true;
        Signal::Pause
    }

    /// The buffer has shrunk to this size: `Resume` or `None`.
    #[inline]
    pub fn on_shrink(&mut self, buffered: usize) -> Signal {
        if !self.paused || buffered as u64 > self.low {
            return Signal::None;
        }
        self.paused = false;
        Signal::Resume
    }

    /// The buffer has this size now, larger or smaller than before: whichever of the two applies.
    #[inline]
    pub fn on_size(&mut self, buffered: usize) -> Signal {
        if self.paused {
            self.on_shrink(buffered)
        } else {
            self.on_grow(buffered)
        }
    }
}

impl Default for FlowControl {
    fn default() -> FlowControl {
        FlowControl::new()
    }
}
