//! Names to addresses and back.
//!
//! * [`lookup`](Query) asks the C library, and waits for as long as it does.
//! * [`Pool`] is where that happens: a loop's own few threads, apart from every executor.
//!
//! The threads know nothing of Python: no GIL is taken in them, so neither a busy interpreter nor one
//! that is shutting down is in their way, and one that hangs in the C library for a minute is in
//! nobody else's.

mod lookup;
mod pool;

pub use lookup::{Found, LookupError, Query, ipv6_text, name_of};
pub use pool::{MAX_THREADS, Pool};
