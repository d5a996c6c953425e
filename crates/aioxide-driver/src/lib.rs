//! The event loop's system calls: no Python, no scheduling.
//!
//! | module | what it is |
//! |---|---|
//! | [`reactor`] | which descriptors are ready: the contract, and epoll behind it |
//! | [`notifier`] | wakes a sleeping loop from another thread, silent otherwise |
//! | [`sys`] | clock, sockets and pipes: one tiny function per system call |
//!
//! Rules that every file here keeps:
//!
//! - **Descriptors come in as numbers.** Python owns its sockets and hands over `fileno()`. A number
//!   becomes a borrowed descriptor in one private place, for the length of one system call. A
//!   negative number is `EBADF`, a stale one is whatever the kernel says: never undefined behaviour.
//!   Descriptors that the kernel makes for us are `OwnedFd` from the first line.
//! - **Errors are the kernel's.** Every `io::Error` keeps its `raw_os_error`, from which Python makes
//!   the right subclass of `OSError`.
//! - **Nothing is retried.** `EINTR` and `EAGAIN` go back to the caller: only the loop knows whether
//!   signals must be looked at first.
//! - **`unsafe` is denied**, and allowed by name in the two files that need it: `raw_fd.rs`, which turns
//!   numbers into descriptors, and the two waiting calls of the epoll reactor.
#![deny(unsafe_code)]

pub mod notifier;
mod raw_fd;
pub mod reactor;
pub mod sys;

pub use notifier::Notifier;
pub use reactor::{Event, Interest, Reactor, Timeout};
