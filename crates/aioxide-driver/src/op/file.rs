//! Operations on an open file.

use std::os::fd::RawFd;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use super::{Call, answer};

/// Puts what was written on the disk.
#[derive(Debug)]
pub struct Fsync {
    fd: RawFd,
    data_only: bool,
}

impl Fsync {
    pub(super) const CODE: u8 = opcode::Fsync::CODE;

    /// `fdatasync` if `data_only`, else `fsync`.
    pub fn new(fd: RawFd, data_only: bool) -> Fsync {
        Fsync { fd, data_only }
    }

    pub(super) fn entry(&mut self) -> Entry {
        let flags = if self.data_only {
            types::FsyncFlags::DATASYNC
        } else {
            types::FsyncFlags::empty()
        };
        opcode::Fsync::new(types::Fd(self.fd)).flags(flags).build()
    }

    pub(super) fn call(&mut self) -> Call {
        let (fd, data_only) = (self.fd, self.data_only);
        Box::new(move || {
            // SAFETY: both take a number, and any number.
            #[allow(unsafe_code)]
            answer(unsafe {
                if data_only {
                    libc::fdatasync(fd)
                } else {
                    libc::fsync(fd)
                }
            })
        })
    }
}

/// Makes a file so long.
#[derive(Debug)]
pub struct Truncate {
    fd: RawFd,
    length: u64,
}

impl Truncate {
    pub(super) const CODE: u8 = opcode::Ftruncate::CODE;

    /// `ftruncate(fd, length)`.
    pub fn new(fd: RawFd, length: u64) -> Truncate {
        Truncate { fd, length }
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::Ftruncate::new(types::Fd(self.fd), self.length).build()
    }

    pub(super) fn call(&mut self) -> Call {
        let (fd, length) = (self.fd, self.length.cast_signed());
        // SAFETY: takes numbers, and any number.
        #[allow(unsafe_code)]
        Box::new(move || answer(unsafe { libc::ftruncate64(fd, length) }))
    }
}

/// Closes a descriptor. It is closed also if the kernel reports an error.
#[derive(Debug)]
pub struct Close {
    fd: RawFd,
}

impl Close {
    pub(super) const CODE: u8 = opcode::Close::CODE;

    /// `close(fd)`: the number must not be used by anybody after this was submitted.
    pub fn new(fd: RawFd) -> Close {
        Close { fd }
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::Close::new(types::Fd(self.fd)).build()
    }

    pub(super) fn call(&mut self) -> Call {
        let fd = self.fd;
        // SAFETY: takes a number, and any number; whoever submitted this has given the descriptor away.
        #[allow(unsafe_code)]
        Box::new(move || answer(unsafe { libc::close(fd) }))
    }
}
