//! Asking about a file.

use std::ffi::CString;
use std::fmt;
use std::os::fd::RawFd;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use super::{Borrowed, Call, answer};

/// What the kernel says about a file: `struct statx`.
#[derive(Clone)]
#[repr(transparent)]
pub struct Statx(libc::statx);

impl Statx {
    fn empty() -> Statx {
        // SAFETY: a struct of integers, for which all zeroes is a value.
        #[allow(unsafe_code)]
        Statx(unsafe { std::mem::zeroed() })
    }

    /// The kernel's own struct.
    pub fn get(&self) -> &libc::statx {
        &self.0
    }

    /// `os.makedev(major, minor)` of the file system's device.
    pub fn device(&self) -> u64 {
        libc::makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// The same of the device that the file is.
    pub fn special_device(&self) -> u64 {
        libc::makedev(self.0.stx_rdev_major, self.0.stx_rdev_minor)
    }
}

impl fmt::Debug for Statx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statx")
            .field("mode", &self.0.stx_mode)
            .field("size", &self.0.stx_size)
            .finish_non_exhaustive()
    }
}

/// Asks about a path, or about an open file.
#[derive(Debug)]
pub struct Stat {
    fd: RawFd,
    path: CString,
    flags: i32,
    place: Box<Statx>,
}

impl Stat {
    pub(super) const CODE: u8 = opcode::Statx::CODE;

    /// `stat(path)`, or `lstat` if links are not to be followed.
    pub fn path(path: CString, follow: bool) -> Stat {
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        Stat {
            fd: libc::AT_FDCWD,
            path,
            flags,
            place: Box::new(Statx::empty()),
        }
    }

    /// `fstat(fd)`.
    pub fn file(fd: RawFd) -> Stat {
        Stat {
            fd,
            path: CString::default(),
            flags: libc::AT_EMPTY_PATH,
            place: Box::new(Statx::empty()),
        }
    }

    /// Asks now, on this thread.
    pub fn now(mut self) -> std::io::Result<Box<Statx>> {
        self.call()()?;
        Ok(self.place)
    }

    pub(super) fn take(&mut self) -> Box<Statx> {
        std::mem::replace(&mut self.place, Box::new(Statx::empty()))
    }

    pub(super) fn entry(&mut self) -> Entry {
        let place: *mut libc::statx = &raw mut self.place.0;
        opcode::Statx::new(
            types::Fd(self.fd),
            self.path.as_ptr(),
            place.cast::<types::statx>(),
        )
        .flags(self.flags)
        .mask(libc::STATX_BASIC_STATS | libc::STATX_BTIME)
        .build()
    }

    pub(super) fn call(&mut self) -> Call {
        let (fd, flags) = (self.fd, self.flags);
        let path = Borrowed(self.path.as_ptr().cast_mut());
        let place: Borrowed<libc::statx> = Borrowed(&raw mut self.place.0);
        Box::new(move || {
            // SAFETY: a terminated string and a place for the answer, both on the heap and owned by the
            // operation, which stays until this call has ended (`op`).
            #[allow(unsafe_code)]
            answer(unsafe {
                libc::statx(
                    fd,
                    path.get(),
                    flags,
                    libc::STATX_BASIC_STATS | libc::STATX_BTIME,
                    place.get(),
                )
            })
        })
    }
}
