//! Readiness: which registered descriptors can be read or written without blocking.
//!
//! # The contract of a backend
//!
//! A backend is one file with one type `Reactor` that gives what is listed here; [`epoll`] is the
//! first, kqueue could be the second. The tests in `tests/reactor.rs` are written against this list.
//!
//! | item | what it must do |
//! |---|---|
//! | `new() -> io::Result<Reactor>` | a fresh, empty reactor; its own descriptor is not inherited by `exec` |
//! | `add(fd, token, interest)` | registers a descriptor once; a second `add` is `EEXIST` |
//! | `modify(fd, token, interest)` | replaces token and interest; not registered is `ENOENT` |
//! | `remove(fd)` | forgets the descriptor; not registered is `ENOENT` |
//! | `wait(timeout, events, out)` | clears `out`, then appends one [`Event`] per ready descriptor |
//! | `as_raw_fd()` | the reactor's own descriptor, readable while an event is due |
//! | `close()` | gives the kernel's side back; every later call is `EBADF` |
//!
//! - **Level-triggered.** As long as a registered condition holds, each `wait` reports it again:
//!   the loop may read a part and come back.
//! - **Errors and hang-ups are readiness.** They set `readable` *and* `writable`, whatever was asked
//!   for, and cannot be masked: the next `recv` or `send` gives the real error. Whoever dispatches
//!   calls the sides that are registered and ignores the others, as asyncio's selector loop does. The
//!   peer having merely shut down its writing side is not a hang-up: it reads as end of file.
//! - **Once, if asked for.** With [`Interest::ONCE`] the registration reports one event and then nothing,
//!   errors and hang-ups included, until it is modified. It stays registered: modifying it is
//!   cheaper than removing and adding, and one that was forgotten reports nothing.
//! - **Urgent data is not asked for** (asyncio does not either).
//! - **An empty interest is `EINVAL`**: a descriptor without interest would still report errors, for
//!   ever. Remove it instead.
//! - **Descriptors are numbers.** Negative or closed is `EBADF`; what can never be waited for, such as a
//!   regular file, is `EPERM`. The errors keep the kernel's number.
//! - **Remove before close.** A registration belongs to the open file, not to the number: if the file
//!   was duplicated (`dup`, `fork`), closing the number leaves a registration that nobody can remove
//!   any more and that keeps reporting its old token. After closing, the number may be added
//!   afresh for another file.
//! - **Never early.** `wait` returns without events only when the whole timeout has passed on the
//!   monotonic clock, rounded up where the backend is coarser than a nanosecond. Late is allowed. (A
//!   timeout beyond the backend's range, weeks, may be cut to that range; the loop computes anew.)
//! - **Interruptions come back.** A signal during `wait` gives `ErrorKind::Interrupted` with `out`
//!   empty, so that the loop can run signal handlers. It is never retried here.
//! - **Shared.** Every call takes `&self`: one thread waits, without the GIL, while another registers or
//!   removes a descriptor. The buffer for the kernel's answer belongs to the caller. More than 1024 ready descriptors take more than one `wait`,
//!   and none is starved: those not yet reported come first next time.
//! - **After `fork`** the child may only drop its copy. The kernel's interest list is one, shared with
//!   the parent: registering or removing in the child would do it in the parent.

pub mod epoll;

use std::ops::{BitOr, BitOrAssign, Sub};
use std::time::Duration;

pub use epoll::{Events, Reactor};

/// What to wait for on a descriptor: a set of [`READ`](Interest::READ) and [`WRITE`](Interest::WRITE),
/// and whether for one event only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest(u8);

impl Interest {
    /// Nothing: to compute with, not to register.
    pub const NONE: Interest = Interest(0);
    /// Data, end of file or a connection to accept.
    pub const READ: Interest = Interest(1);
    /// Room for data, or the end of connecting.
    pub const WRITE: Interest = Interest(2);
    /// Both.
    pub const BOTH: Interest = Interest(3);
    /// Report one event, then nothing until modified. Says how, not what: alone it is empty.
    pub const ONCE: Interest = Interest(4);

    /// Whether nothing is asked for.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 & Interest::BOTH.0 == 0
    }

    /// Whether everything in `other` is in here too.
    #[inline]
    pub const fn contains(self, other: Interest) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    #[inline]
    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl BitOrAssign for Interest {
    #[inline]
    fn bitor_assign(&mut self, other: Interest) {
        self.0 |= other.0;
    }
}

/// What is in the first set and not in the second.
impl Sub for Interest {
    type Output = Interest;

    #[inline]
    fn sub(self, other: Interest) -> Interest {
        Interest(self.0 & !other.0)
    }
}

/// One ready descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token under which the descriptor was registered.
    pub token: u64,
    /// Reading will not block: there is data, end of file, an error or a hang-up.
    pub readable: bool,
    /// Writing will not block: there is room, an error or a hang-up.
    pub writable: bool,
}

/// How long a `wait` may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Not at all: report what is ready now.
    Now,
    /// Until something is ready, but not longer than this.
    For(Duration),
    /// Until something is ready.
    Forever,
}

impl Timeout {
    /// The timeout that ends at `deadline_ns`, when it is `now_ns` on the same clock.
    #[inline]
    pub const fn until(deadline_ns: u64, now_ns: u64) -> Timeout {
        match deadline_ns.checked_sub(now_ns) {
            None | Some(0) => Timeout::Now,
            Some(left) => Timeout::For(Duration::from_nanos(left)),
        }
    }
}
