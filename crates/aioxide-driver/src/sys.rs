//! Clock, sockets and pipes: each function is one system call.
//!
//! Descriptors are numbers (see the [crate]); nothing is retried, so `EINTR` and `EAGAIN` come back
//! as `ErrorKind::Interrupted` and `WouldBlock`. Neither sending nor receiving blocks, whatever mode the
//! socket is in. Sending to a socket whose peer has gone is `EPIPE` and never the signal `SIGPIPE`. For a
//! pipe the kernel has no such flags: there it is left to Python, which ignores `SIGPIPE` from its
//! start, and to whoever opened the pipe.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::net::{
    self, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, sockopt,
};
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

use crate::raw_fd::with_fd;

/// The most slices that one [`sendmsg`] takes: the kernel's `UIO_MAXIOV`.
pub const MAX_SLICES: usize = 1024;

/// No `SIGPIPE`, and no blocking.
const SEND: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// The monotonic clock in nanoseconds: the one behind Python's `time.monotonic()`.
#[inline]
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// The step of the monotonic clock in nanoseconds: 1 unless the kernel has no fine timers.
pub fn clock_resolution_ns() -> u64 {
    nanoseconds(clock_getres(ClockId::Monotonic))
}

/// The monotonic clock starts at boot, so neither field is ever negative, and 64 bits last 584 years.
#[inline]
fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Receives into `buffer`; 0 is the end of the stream (or an empty buffer).
#[inline]
pub fn recv(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    with_fd(fd, |fd| net::recv(fd, buffer, RecvFlags::DONTWAIT)).map(|(count, _)| count)
}

/// Receives into memory that need not be initialised, and gives back the part that now is.
#[inline]
pub fn recv_uninit(fd: RawFd, buffer: &mut [MaybeUninit<u8>]) -> io::Result<&mut [u8]> {
    with_fd(fd, |fd| net::recv(fd, buffer, RecvFlags::DONTWAIT)).map(|((filled, _), _)| filled)
}

/// Sends what the socket takes of `data`.
#[inline]
pub fn send(fd: RawFd, data: &[u8]) -> io::Result<usize> {
    with_fd(fd, |fd| net::send(fd, data, SEND))
}

/// Sends what the socket takes of these slices, in order; of more than [`MAX_SLICES`] the first ones.
#[inline]
pub fn sendmsg(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let slices = &slices[..slices.len().min(MAX_SLICES)];
    with_fd(fd, |fd| {
        net::sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), SEND)
    })
}

/// Accepts a connection; the new socket is non-blocking and not inherited by `exec`.
#[inline]
pub fn accept(fd: RawFd) -> io::Result<OwnedFd> {
    with_fd(fd, |fd| {
        net::accept_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
    })
}

/// [`accept`], with the peer's address where the family is an Internet one.
#[inline]
pub fn accept_from(fd: RawFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (accepted, address) = with_fd(fd, |fd| {
        net::acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
    })?;
    Ok((
        accepted,
        address.and_then(|address| address.try_into().ok()),
    ))
}

/// A socket's own address (`getsockname`); `None` where the family is no Internet one.
#[inline]
pub fn local_address(fd: RawFd) -> io::Result<Option<SocketAddr>> {
    let address = with_fd(fd, |fd| net::getsockname(fd))?;
    Ok(address.try_into().ok())
}

/// The address of a socket's peer (`getpeername`); `None` where the family is no Internet one.
#[inline]
pub fn peer_address(fd: RawFd) -> io::Result<Option<SocketAddr>> {
    let address = with_fd(fd, |fd| net::getpeername(fd))?;
    Ok(address.and_then(|address| address.try_into().ok()))
}

/// A socket's address family (`SO_DOMAIN`) as its number.
#[inline]
pub fn family(fd: RawFd) -> io::Result<u16> {
    with_fd(fd, |fd| sockopt::socket_domain(fd)).map(net::AddressFamily::as_raw)
}

/// Whether an attempt to connect that gave this error goes on by itself.
///
/// `EAGAIN` is none of them: on Linux it means a Unix listener whose backlog is full, or no free
/// local port, and the socket stays unconnected.
pub fn is_connecting(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::INPROGRESS | Errno::ALREADY | Errno::INTR)
    )
}

/// Whether a call failed for want of descriptors or memory: it may succeed later.
pub fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// Reads from a pipe; 0 is the end of the stream (or an empty buffer).
#[inline]
pub fn read(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    with_fd(fd, |fd| rustix::io::read(fd, buffer))
}

/// Writes what the pipe takes of `data`.
#[inline]
pub fn write(fd: RawFd, data: &[u8]) -> io::Result<usize> {
    with_fd(fd, |fd| rustix::io::write(fd, data))
}

/// Writes what the pipe takes of these slices, in order; of more than [`MAX_SLICES`] the first ones.
#[inline]
pub fn writev(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let slices = &slices[..slices.len().min(MAX_SLICES)];
    with_fd(fd, |fd| rustix::io::writev(fd, slices))
}

/// What can be behind a descriptor, as far as a pipe's transport tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A terminal or another character device.
    CharacterDevice,
    /// A pipe or a FIFO.
    Pipe,
    /// A socket of any family.
    Socket,
    /// A file, which is always ready and for which reading blocks all the same.
    Regular,
    /// Directories, block devices, and what the kernel has without a kind.
    Other,
}

/// What is behind a descriptor.
pub fn file_kind(fd: RawFd) -> io::Result<FileKind> {
    let stat = with_fd(fd, |fd| rustix::fs::fstat(fd))?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => FileKind::CharacterDevice,
        FileType::Fifo => FileKind::Pipe,
        FileType::Socket => FileKind::Socket,
        FileType::RegularFile => FileKind::Regular,
        _ => FileKind::Other,
    })
}

/// Makes operations answer `EAGAIN` instead of blocking, for everybody who shares the open file.
pub fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    let flags = with_fd(fd, |fd| rustix::fs::fcntl_getfl(fd))?;
    if flags.contains(OFlags::NONBLOCK) {
        return Ok(());
    }
    with_fd(fd, |fd| {
        rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)
    })
}

/// Ends the sending side: the peer reads the end of the stream.
pub fn shutdown_write(fd: RawFd) -> io::Result<()> {
    with_fd(fd, |fd| net::shutdown(fd, Shutdown::Write))
}

/// Takes the socket's pending error (`SO_ERROR`) as its error number, so that it is no longer pending.
pub fn socket_error(fd: RawFd) -> io::Result<Option<i32>> {
    let pending = with_fd(fd, |fd| sockopt::socket_error(fd))?;
    Ok(pending.err().map(Errno::raw_os_error))
}

/// How many bytes the next call receives at least: all that is there of a stream, or the next message.
///
/// An error where the kind of socket does not tell.
pub fn available(fd: RawFd) -> io::Result<u64> {
    with_fd(fd, |fd| rustix::io::ioctl_fionread(fd))
}

/// Sends small segments at once (`TCP_NODELAY`); on a socket that is not TCP an error.
pub fn set_nodelay(fd: RawFd) -> io::Result<()> {
    with_fd(fd, |fd| sockopt::set_tcp_nodelay(fd, true))
}

/// Sends small segments at once, or waits for more (`TCP_NODELAY`).
pub fn set_nodelay_to(fd: RawFd, on: bool) -> io::Result<()> {
    with_fd(fd, |fd| sockopt::set_tcp_nodelay(fd, on))
}

/// Whether small segments are sent at once (`TCP_NODELAY`).
pub fn nodelay(fd: RawFd) -> io::Result<bool> {
    with_fd(fd, |fd| sockopt::tcp_nodelay(fd))
}

/// Probes an idle peer, or does not (`SO_KEEPALIVE`).
pub fn set_keepalive(fd: RawFd, on: bool) -> io::Result<()> {
    with_fd(fd, |fd| sockopt::set_socket_keepalive(fd, on))
}

/// Whether an idle peer is probed (`SO_KEEPALIVE`).
pub fn keepalive(fd: RawFd) -> io::Result<bool> {
    with_fd(fd, |fd| sockopt::socket_keepalive(fd))
}

/// Whether operations answer `EAGAIN` instead of blocking.
pub fn is_nonblocking(fd: RawFd) -> io::Result<bool> {
    with_fd(fd, |fd| rustix::fs::fcntl_getfl(fd)).map(|flags| flags.contains(OFlags::NONBLOCK))
}
