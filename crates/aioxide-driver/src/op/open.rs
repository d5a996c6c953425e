//! Opening a file.

use std::ffi::CString;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};

use super::{Call, Outcome, answer};

/// Opens a path, close-on-exec.
#[derive(Debug)]
pub struct Open {
    path: CString,
    flags: i32,
    mode: u32,
}

impl Open {
    pub(super) const CODE: u8 = opcode::OpenAt::CODE;

    /// `open(path, flags | O_CLOEXEC, mode)`.
    pub fn new(path: CString, flags: i32, mode: u32) -> Open {
        Open {
            path,
            flags: flags | libc::O_CLOEXEC,
            mode,
        }
    }

    /// On a kernel thread from the start: the attempt that the ring makes without blocking opens a pipe that has
    /// no other end yet, as nobody asked for.
    pub(super) fn entry(&mut self) -> Entry {
        opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr())
            .flags(self.flags)
            .mode(self.mode)
            .build()
            .flags(Flags::ASYNC)
    }

    /// With a copy of the path: opening a pipe may take for ever, and nobody waits for it then.
    pub(super) fn call(&mut self) -> Call {
        let (path, flags, mode) = (self.path.clone(), self.flags, self.mode);
        // SAFETY: a terminated string that the closure owns, and numbers.
        #[allow(unsafe_code)]
        Box::new(move || answer(unsafe { libc::open64(path.as_ptr(), flags, mode) }))
    }
}

/// The descriptor that was opened.
pub(super) fn outcome(result: i64) -> Outcome {
    match RawFd::try_from(result) {
        // SAFETY: the kernel has just made this descriptor, and tells it to nobody else.
        #[allow(unsafe_code)]
        Ok(fd) if fd >= 0 => Outcome::Fd(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Outcome::Done,
    }
}
