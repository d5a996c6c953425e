//! From a file to a socket without a detour through this process.

use std::io;
use std::os::fd::RawFd;

use rustix::fs::SeekFrom;

use crate::raw_fd::{with_fd, with_fd_raw};

/// The most that one [`sendfile`] sends: the kernel's own limit.
pub const MAX_COUNT: usize = 0x7fff_f000;

/// Sends up to `count` bytes of `file` from `offset` on, as many as the socket takes; 0 is the end of
/// the file. The file's own position stays where it is.
///
/// It blocks unless the socket is non-blocking: the kernel has no flag for a single call. What cannot be
/// mapped into memory (a pipe, a terminal) is `EINVAL` or `ESPIPE`.
pub fn sendfile(socket: RawFd, file: RawFd, offset: u64, count: usize) -> io::Result<usize> {
    let mut offset = offset;
    with_fd(socket, |socket| {
        with_fd_raw(file, |file| {
            rustix::fs::sendfile(socket, file, Some(&mut offset), count.min(MAX_COUNT))
        })
    })
}

/// The size of a regular file; 0 of most other things.
pub fn file_size(fd: RawFd) -> io::Result<u64> {
    let stat = with_fd(fd, |fd| rustix::fs::fstat(fd))?;
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

/// Moves the file's position, which everybody who has the open file shares.
pub fn set_position(fd: RawFd, offset: u64) -> io::Result<()> {
    with_fd(fd, |fd| rustix::fs::seek(fd, SeekFrom::Start(offset))).map(drop)
}
