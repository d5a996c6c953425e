//! Waiting until a pipe, a terminal or a socket is ready.
//!
//! What has no position is never read by completion: bytes that had been taken out of a pipe for
//! an operation that was cancelled would be lost. It is waited for here, and read without
//! blocking after that.

use std::os::fd::RawFd;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use super::Call;
use crate::Interest;

/// Waits until a descriptor is ready, once.
#[derive(Debug)]
pub struct Poll {
    fd: RawFd,
    events: i16,
}

impl Poll {
    pub(super) const CODE: u8 = opcode::PollAdd::CODE;

    /// Until the descriptor is ready for this; errors and hang-ups count.
    pub fn new(fd: RawFd, interest: Interest) -> Poll {
        let mut events = 0;
        if interest.contains(Interest::READ) {
            events |= libc::POLLIN;
        }
        if interest.contains(Interest::WRITE) {
            events |= libc::POLLOUT;
        }
        Poll { fd, events }
    }

    /// What `poll(2)` wants to know.
    pub(crate) fn pollfd(&self) -> libc::pollfd {
        libc::pollfd {
            fd: self.fd,
            events: self.events,
            revents: 0,
        }
    }

    pub(super) fn entry(&mut self) -> Entry {
        let events = u32::from(self.events.cast_unsigned());
        opcode::PollAdd::new(types::Fd(self.fd), events).build()
    }

    /// Never made: the thread that waits for many of them waits for this one too.
    #[allow(clippy::unused_self, reason = "one signature for all operations")]
    pub(super) fn call(&mut self) -> Call {
        Box::new(|| Err(std::io::ErrorKind::Unsupported.into()))
    }
}
