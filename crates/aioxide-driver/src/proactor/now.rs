//! What can be had without waiting: no proactor, no completion, one or two system calls on the spot.
//!
//! `preadv2(RWF_NOWAIT)` reads what is in the page cache and answers `EAGAIN` for the rest; file systems that do
//! not know the flag answer `EOPNOTSUPP`. Both mean: through the proactor. `openat2(RESOLVE_CACHED)` does the
//! same for looking up paths.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::op::{Stat, Statx};

fn answer(result: impl Into<i64>) -> io::Result<usize> {
    let result = result.into();
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Reads what is at hand; 0 is the end of the file. Without an offset where the file stands.
#[inline]
pub fn read_now(
    fd: RawFd,
    memory: &mut [MaybeUninit<u8>],
    offset: Option<u64>,
) -> io::Result<usize> {
    let vector = libc::iovec {
        iov_base: memory.as_mut_ptr().cast(),
        iov_len: memory.len(),
    };
    // SAFETY: one vector, that of the caller's exclusive slice, which the kernel fills.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::preadv64v2(
            fd,
            &raw const vector,
            1,
            offset.map_or(-1, u64::cast_signed),
            libc::RWF_NOWAIT,
        )
    };
    answer(result as i64)
}

/// `RAMFS_MAGIC` of linux/magic.h, which libc does not have.
const RAMFS_MAGIC: i64 = 0x8584_58f6;

/// What keeps the bytes of a file, and so whether a read can wait for a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// A disk or anything else behind the page cache, which is asked with `RWF_NOWAIT`.
    #[default]
    Unknown,
    /// Memory: tmpfs (`memfd_create` too), ramfs, hugetlbfs. They do not know `RWF_NOWAIT`, and need not.
    Memory,
    /// A layer of an overlayfs, which does not know `RWF_NOWAIT`: [`Residency`](super::Residency) tells.
    Overlay,
}

impl Medium {
    /// The medium of an open file, by the kind of its file system.
    pub fn of(fd: RawFd) -> Medium {
        let mut answer = MaybeUninit::<libc::statfs64>::uninit();
        // SAFETY: any number is a valid descriptor to ask for; the kernel fills the struct if it answers 0.
        #[allow(unsafe_code)]
        let kind = unsafe {
            if libc::fstatfs64(fd, answer.as_mut_ptr()) != 0 {
                return Medium::Unknown;
            }
            answer.assume_init().f_type
        };
        match kind as i64 {
            libc::TMPFS_MAGIC | libc::HUGETLBFS_MAGIC | RAMFS_MAGIC => Medium::Memory,
            libc::OVERLAYFS_SUPER_MAGIC => Medium::Overlay,
            _ => Medium::Unknown,
        }
    }
}

/// Reads cached bytes at an offset without waiting for a disk: all of them on a memory file system, else those in
/// the page cache.
#[inline]
pub fn read_at_hand(
    fd: RawFd,
    medium: Medium,
    memory: &mut [MaybeUninit<u8>],
    offset: u64,
) -> io::Result<usize> {
    if medium != Medium::Memory {
        return read_now(fd, memory, Some(offset));
    }
    // SAFETY: the caller's exclusive slice, which the kernel fills.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::pread64(
            fd,
            memory.as_mut_ptr().cast(),
            memory.len(),
            offset.cast_signed(),
        )
    };
    answer(result as i64)
}

/// Writes what the file takes without blocking: a pipe, or a file system that knows how.
#[inline]
pub fn write_now(fd: RawFd, data: &[u8], offset: Option<u64>) -> io::Result<usize> {
    let vector = libc::iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    // SAFETY: one vector, that of the caller's slice, which the kernel only reads.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::pwritev64v2(
            fd,
            &raw const vector,
            1,
            offset.map_or(-1, u64::cast_signed),
            libc::RWF_NOWAIT,
        )
    };
    answer(result as i64)
}

/// What a pipe or a terminal has now. A kind that cannot be asked is read all the same if its descriptor does
/// not block; else `EOPNOTSUPP`.
pub fn read_stream(fd: RawFd, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    match read_now(fd, memory, None) {
        Err(error) if is_unsupported(&error) && crate::sys::is_nonblocking(fd)? => {
            // SAFETY: the caller's exclusive slice, which the kernel fills.
            #[allow(unsafe_code)]
            let result = unsafe { libc::read(fd, memory.as_mut_ptr().cast(), memory.len()) };
            answer(result as i64)
        }
        result => result,
    }
}

/// The same for writing what a pipe takes now.
pub fn write_stream(fd: RawFd, data: &[u8]) -> io::Result<usize> {
    match write_now(fd, data, None) {
        Err(error) if is_unsupported(&error) && crate::sys::is_nonblocking(fd)? => {
            crate::sys::write(fd, data)
        }
        result => result,
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

/// Opens what can be found without looking at a disk, close-on-exec. `EAGAIN` if it cannot, or if the file is to
/// be made or emptied; `ENOSYS` and `EINVAL` on old kernels. Not for what may be a pipe, whose opening waits for its
/// other end.
pub fn open_now(path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: a struct of integers, for which all zeroes is a value.
    #[allow(unsafe_code)]
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    how.mode = if flags & (libc::O_CREAT | libc::O_TMPFILE) == 0 {
        0
    } else {
        mode.into()
    };
    how.resolve = libc::RESOLVE_CACHED;
    // SAFETY: a terminated string, and a struct of the size that is told.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    let fd = RawFd::try_from(answer(result)?).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just made this descriptor.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Asks about a path whose file is known to the kernel already; errors as `open_now`.
pub fn stat_now(path: &CStr, follow: bool) -> io::Result<Box<Statx>> {
    let follow = if follow { 0 } else { libc::O_NOFOLLOW };
    let file = open_now(path, libc::O_PATH | follow, 0)?;
    Stat::file(file.as_raw_fd()).now()
}

/// `lseek`: moves, or with `SEEK_CUR` and 0 tells, where a file stands.
pub fn seek(fd: RawFd, offset: i64, whence: i32) -> io::Result<u64> {
    // SAFETY: takes numbers, and any number.
    #[allow(unsafe_code)]
    let result = unsafe { libc::lseek64(fd, offset, whence) };
    u64::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// `ftruncate`, for what has no pages to give back: an empty file, a pipe that will refuse.
pub fn truncate_now(fd: RawFd, length: u64) -> io::Result<()> {
    // SAFETY: takes numbers, and any number.
    #[allow(unsafe_code)]
    answer(unsafe { libc::ftruncate64(fd, length.cast_signed()) }).map(drop)
}

/// Where the first `\n` is.
#[inline]
pub fn find_newline(data: &[u8]) -> Option<usize> {
    if data.is_empty() {
        return None;
    }
    // SAFETY: looks at the slice's bytes only; what it finds lies inside.
    #[allow(unsafe_code)]
    let found = unsafe { libc::memchr(data.as_ptr().cast(), 10, data.len()) };
    (!found.is_null()).then(|| found as usize - data.as_ptr() as usize)
}
