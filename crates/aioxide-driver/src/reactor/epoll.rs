//! The reactor on Linux: epoll, level-triggered.
//!
//! # Some facts about epoll
//!
//! - `epoll_wait` counts its timeout in milliseconds. A timer due in 0.3 ms would come 0.7 ms late (it
//!   must not come early), which is what asyncio does. `epoll_pwait2`, from Linux 5.11 on, counts in
//!   nanoseconds, and costs the same.
//! - Older kernels answer `ENOSYS` to it; so do some sandboxes on newer ones, and others answer `EPERM`.
//! - Error and hang-up are always reported, asked for or not; only a one-shot registration that has
//!   reported is silent about them too.
//!
//! So a timeout goes through `epoll_pwait2` until the kernel has refused it once; from then on this
//! reactor uses `epoll_wait` and rounds up. Waits without a timeout use `epoll_wait` from the start.

use std::ffi::{c_int, c_long};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::epoll;
use rustix::io::Errno;

use super::{Event, Interest, Timeout};
use crate::raw_fd::{SharedFd, with_fd, with_fd_raw};

/// The most events that one `wait` reports.
const MAX_EVENTS: usize = 1024;

/// An epoll instance.
pub struct Reactor {
    epoll: SharedFd,
    /// Whether `epoll_pwait2` is still believed to work.
    precise: AtomicBool,
}

/// Where the kernel writes events; kept by whoever waits, so that a wait allocates nothing.
pub struct Events(Box<[libc::epoll_event]>);

impl Events {
    /// Room for the most events that one `wait` reports.
    pub fn new() -> Events {
        Events(vec![libc::epoll_event { events: 0, u64: 0 }; MAX_EVENTS].into_boxed_slice())
    }
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Reactor {
    /// A fresh, empty reactor.
    pub fn new() -> io::Result<Reactor> {
        Ok(Reactor {
            epoll: SharedFd::new(epoll::create(epoll::CreateFlags::CLOEXEC)?),
            precise: AtomicBool::new(true),
        })
    }

    /// A reactor that counts in milliseconds, as on a kernel without `epoll_pwait2`.
    ///
    /// For walking that path on a kernel that has it.
    pub fn new_coarse() -> io::Result<Reactor> {
        Ok(Reactor {
            precise: AtomicBool::new(false),
            ..Reactor::new()?
        })
    }

    /// Whether timeouts are counted in nanoseconds, as far as is known by now.
    pub fn is_precise(&self) -> bool {
        self.precise.load(Ordering::Relaxed)
    }

    /// Closes the epoll instance; every call after this is `EBADF`.
    pub fn close(&self) {
        self.epoll.close();
    }

    /// Registers a descriptor that is not yet registered.
    #[inline]
    pub fn add(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = flags_of(interest)?;
        let data = epoll::EventData::new_u64(token);
        with_fd(self.epoll.get(), |epoll| {
            with_fd_raw(fd, |fd| epoll::add(epoll, fd, data, flags))
        })
    }

    /// Replaces the token and the interest of a registered descriptor.
    #[inline]
    pub fn modify(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = flags_of(interest)?;
        let data = epoll::EventData::new_u64(token);
        with_fd(self.epoll.get(), |epoll| {
            with_fd_raw(fd, |fd| epoll::modify(epoll, fd, data, flags))
        })
    }

    /// Forgets a registered descriptor.
    #[inline]
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        with_fd(self.epoll.get(), |epoll| {
            with_fd_raw(fd, |fd| epoll::delete(epoll, fd))
        })
    }

    /// Waits until a registered descriptor is ready or the timeout has passed, and puts the events
    /// in the place of what `out` held.
    pub fn wait(
        &self,
        timeout: Timeout,
        events: &mut Events,
        out: &mut Vec<Event>,
    ) -> io::Result<()> {
        out.clear();
        let count = match timeout {
            Timeout::Now => self.wait_millis(events, 0)?,
            Timeout::Forever => self.wait_millis(events, -1)?,
            Timeout::For(duration) => self.wait_for(events, duration)?,
        };
        out.extend(events.0[..count].iter().map(event_of));
        Ok(())
    }

    /// `epoll_pwait2`, or `epoll_wait` once that was refused.
    fn wait_for(&self, events: &mut Events, duration: Duration) -> io::Result<usize> {
        if self.is_precise() {
            match self.wait_nanos(events, duration) {
                // Neither is an answer that waiting itself can give: the call is not there.
                Err(Errno::NOSYS | Errno::PERM) => self.precise.store(false, Ordering::Relaxed),
                answer => return answer.map_err(io::Error::from),
            }
        }
        Ok(self.wait_millis(events, millis_rounded_up(duration))?)
    }

    /// `epoll_wait`: at most so many milliseconds, 0 is not at all, -1 for ever.
    fn wait_millis(&self, events: &mut Events, millis: c_int) -> Result<usize, Errno> {
        let (capacity, events) = (capacity_of(&events.0), events.0.as_mut_ptr());
        // SAFETY: `epoll_wait` writes at most `capacity` events to `events`: both describe
        // the caller's buffer, which is borrowed mutably here. Of the descriptor it asks nothing: closed, or
        // not an epoll instance, is an error.
        #[allow(unsafe_code)]
        let answer = unsafe { libc::epoll_wait(self.epoll.get(), events, capacity, millis) };
        answer_of(answer.into())
    }

    /// `epoll_pwait2` with no signal mask.
    fn wait_nanos(&self, events: &mut Events, duration: Duration) -> Result<usize, Errno> {
        let timespec = KernelTimespec {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: duration.subsec_nanos().into(),
        };
        let (capacity, events) = (capacity_of(&events.0), events.0.as_mut_ptr());
        // SAFETY: the arguments have the types and the order of `epoll_pwait2`. The kernel writes at
        // most `capacity` events to `events`: both describe the caller's buffer, which is borrowed mutably
        // here. It reads `timespec`, which has the layout of `__kernel_timespec` and outlives the call. A
        // null signal mask is allowed and its size is then not looked at. Of the
        // descriptor it asks nothing: closed, or not an epoll instance, is an error.
        #[allow(unsafe_code)]
        let answer = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.get(),
                events,
                capacity,
                &raw const timespec,
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        answer_of(answer)
    }
}

impl AsRawFd for Reactor {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.get()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("epoll", &self.epoll)
            .field("precise", &self.precise)
            .finish_non_exhaustive()
    }
}

/// `struct __kernel_timespec`: 64 bits each, on every architecture.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

#[inline]
fn flags_of(interest: Interest) -> io::Result<epoll::EventFlags> {
    if interest.is_empty() {
        return Err(Errno::INVAL.into());
    }
    let mut flags = epoll::EventFlags::empty();
    if interest.contains(Interest::READ) {
        flags |= epoll::EventFlags::IN;
    }
    if interest.contains(Interest::WRITE) {
        flags |= epoll::EventFlags::OUT;
    }
    if interest.contains(Interest::ONCE) {
        flags |= epoll::EventFlags::ONESHOT;
    }
    Ok(flags)
}

/// Whatever is not plain writability makes readable and the other way round, so that errors and
/// hang-ups make both.
#[inline]
fn event_of(event: &libc::epoll_event) -> Event {
    const IN: u32 = libc::EPOLLIN.cast_unsigned();
    const OUT: u32 = libc::EPOLLOUT.cast_unsigned();
    // The struct is packed on x86-64: copy the fields, never borrow them.
    let flags = event.events;
    Event {
        token: event.u64,
        readable: flags & !OUT != 0,
        writable: flags & !IN != 0,
    }
}

fn capacity_of(buffer: &[libc::epoll_event]) -> c_int {
    c_int::try_from(buffer.len()).unwrap_or(c_int::MAX)
}

/// Number of events, or the error that the C library left for this thread.
fn answer_of(answer: c_long) -> Result<usize, Errno> {
    usize::try_from(answer)
        .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

fn millis_rounded_up(duration: Duration) -> c_int {
    c_int::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_up_and_cut_to_range() {
        let millis = |ns| millis_rounded_up(Duration::from_nanos(ns));
        assert_eq!(millis(0), 0);
        assert_eq!(millis(1), 1);
        assert_eq!(millis(1_000_000), 1);
        assert_eq!(millis(1_000_001), 2);
        assert_eq!(millis(u64::MAX), c_int::MAX);
        assert_eq!(millis_rounded_up(Duration::MAX), c_int::MAX);
    }

    #[test]
    fn flags_become_what_the_selector_loop_sees() {
        let seen = |flags: c_int| {
            let event = event_of(&libc::epoll_event {
                events: flags.cast_unsigned(),
                u64: 7,
            });
            assert_eq!(event.token, 7);
            (event.readable, event.writable)
        };
        assert_eq!(seen(libc::EPOLLIN), (true, false));
        assert_eq!(seen(libc::EPOLLOUT), (false, true));
        assert_eq!(seen(libc::EPOLLIN | libc::EPOLLOUT), (true, true));
        assert_eq!(seen(libc::EPOLLHUP), (true, true));
        assert_eq!(seen(libc::EPOLLERR), (true, true));
        assert_eq!(seen(libc::EPOLLERR | libc::EPOLLOUT), (true, true));
        assert_eq!(seen(libc::EPOLLHUP | libc::EPOLLIN), (true, true));
    }
}
