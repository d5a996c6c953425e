//! The event loop's system calls: no Python, no scheduling.
//!
//! | module | what it is |
//! |---|---|
//! | [`reactor`] | which descriptors are ready: the contract, and epoll behind it |
//! | [`proactor`] | file operations by completion: the contract, io_uring and threads behind it |
//! | [`op`] | those operations, and what each owns |
//! | [`notifier`] | wakes a sleeping loop from another thread, silent otherwise |
//! | [`resolver`] | names to addresses, in threads of their own |
//! | [`sendfile`] | from a file to a socket, inside the kernel |
//! | [`stack`] | where the calling thread's stack ends |
//! | [`sys`] | clock, sockets and pipes: one tiny function per system call |
//! | [`datagram`] | datagrams and the addresses that they come from and go to |
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
//! - **`unsafe` is denied**, and allowed by name in the files that need it: `raw_fd.rs`, which turns
//!   numbers into descriptors, the two waiting calls of the epoll reactor, and the calls of the C library
//!   by the resolver and by `stack.rs`.
#![deny(unsafe_code)]

pub mod datagram;
pub mod notifier;
pub mod op;
pub mod proactor;
mod raw_fd;
pub mod reactor;
pub mod resolver;
pub mod sendfile;
pub mod stack;
pub mod sys;

pub use notifier::Notifier;
pub use op::Op;
pub use proactor::Proactor;
pub use reactor::{Event, Interest, Reactor, Timeout};
