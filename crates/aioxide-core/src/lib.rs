//! The event loop's pure parts: told the time and what happened, they answer what is next.
//!
//! | module | what it is |
//! |---|---|
//! | [`ready`] | the queue of what to run, and how much of it is one turn |
//! | [`timers`] | what to run later, by deadline |
//! | [`clock`] | between Python's seconds and the loop's nanoseconds |
//! | [`descriptors`] | a table by file descriptor |
//! | [`flow_control`] | when a transport asks its protocol to pause writing |
//! | [`stream_buffer`] | what a stream has received and nobody has read, and where lines end in it |
//! | [`names`] | hosts that are addresses: what `getaddrinfo` would answer |
//! | [`pace`] | which of two ways to receive large messages is the faster |
//!
//! Rules that every file here keeps:
//!
//! - **Pure.** No system calls, no clock, no Python, no threads, no `unsafe`. Everything comes in as
//!   values, so that the tests can compare each part with a naive model.
//! - **Generic over the entries.** What a callback is, the extension knows.
//! - **No entry is dropped in here.** Dropping an entry may run a Python destructor, and that may
//!   schedule or cancel: it would call into the very structure that is being changed. So whatever is taken
//!   out goes back to the caller: as a result, or into the *graveyard*, a `Vec` that the caller passes in
//!   and empties when its borrow of the structure has ended. (The exception is dropping the structure
//!   as a whole: then nobody can call into it any more.)
#![forbid(unsafe_code)]

pub mod clock;
pub mod descriptors;
pub mod flow_control;
pub mod names;
pub mod pace;
pub mod ready;
pub mod stream_buffer;
pub mod timers;

pub use clock::{Nanos, ns_to_seconds, seconds_to_ns};
pub use descriptors::Descriptors;
pub use flow_control::{FlowControl, LimitsError, Signal};
pub use pace::Pace;
pub use ready::Ready;
pub use stream_buffer::{Separators, StreamBuffer};
pub use timers::{TimerEntry, Timers};
