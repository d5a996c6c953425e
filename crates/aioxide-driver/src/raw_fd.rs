//! The one place where a number becomes a borrowed file descriptor.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

/// Runs one system call on the descriptor with this number; a negative number is `EBADF`.
///
/// The borrow ends with the closure, so it cannot be kept past the system call.
#[inline]
pub(crate) fn with_fd<T>(
    fd: RawFd,
    call: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
) -> io::Result<T> {
    with_fd_raw(fd, call).map_err(io::Error::from)
}

/// [`with_fd`], for calls that take two descriptors.
#[inline]
pub(crate) fn with_fd_raw<T>(
    fd: RawFd,
    call: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: `BorrowedFd::borrow_raw` asks for a number other than -1, checked above, and for a
    // descriptor that stays open during the borrow. The borrow lasts for one system call. The number
    // comes from Python, which owns the descriptor as it does for `os.read(fd)`: should it be closed
    // already, the kernel answers EBADF, or acts on what this process opened since under the same
    // number. No memory is reached through a descriptor here (none is mapped), so this is the
    // caller's mistake to make, and never undefined behaviour.
    #[allow(unsafe_code)]
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    call(borrowed)
}

/// A descriptor of ours that can be closed through a shared reference, once.
#[derive(Debug)]
pub(crate) struct SharedFd(AtomicI32);

impl SharedFd {
    pub(crate) fn new(fd: OwnedFd) -> SharedFd {
        SharedFd(AtomicI32::new(fd.into_raw_fd()))
    }

    /// The number; -1 once it is closed.
    #[inline]
    pub(crate) fn get(&self) -> RawFd {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        let fd = self.0.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: the number came from the `OwnedFd` that `new` took over, and the swap gives it
            // to one caller only.
            #[allow(unsafe_code)]
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

impl Drop for SharedFd {
    fn drop(&mut self) {
        self.close();
    }
}
